"""Jobs of SLURM: the call that a job carries out, its state, and its time."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from equidiff.errors import UsageError

RESTARTS = 100  # of a job at its time limit, until it is given up
AGAIN = 144  # the exit code by which submitit's queue on one machine knows a job that wants to be run again
UNFINISHED = {
    "CONFIGURING", "COMPLETING", "PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING",
    "RESV_DEL_HOLD", "RUNNING", "SIGNALING", "SPECIAL_EXIT", "STAGE_OUT", "STOPPED", "SUSPENDED",
}  # fmt: skip


class Job:
    """A call as a job: it keeps the exception of its function, and is put back into the queue at its time limit.

    It begins again with the same arguments then. A function that leaves what it has done on the disk goes on there.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> tuple[Any, Exception | None]:
        try:
            return self._function(*args), None
        except Exception as error:  # whatever the function raises is the future's
            return None, error

    def checkpoint(self, *args: Any) -> NoReturn:
        """Put this job back into the queue. Called by submitit, by a signal, in the middle of the work.

        The process ends here: an exception could be taken for one of the work's own.
        """
        name = "_".join(filter(None, map(os.environ.get, ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"))))
        job = name or os.environ.get("SLURM_JOB_ID")
        if job is not None and int(os.environ.get("SLURM_RESTART_COUNT", "0")) < RESTARTS:
            subprocess.run(["scontrol", "requeue", job], check=False, timeout=60)
        os._exit(AGAIN)


def ask_slurm(jobs: Sequence[Any]) -> dict[str, str]:
    """States of the jobs that SLURM knows, by their names. Unlike sacct, it needs no accounting.

    Raises:
        OSError: SLURM cannot be asked.
    """
    numbers = ",".join(sorted({job.job_id.partition("_")[0] for job in jobs}))
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T", f"--jobs={numbers}"]
    told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if told.returncode and "Invalid job id" not in told.stderr:
        return dict.fromkeys((job.job_id for job in jobs), "UNKNOWN")  # the controller is busy, or restarts
    pairs = [line.split() for line in told.stdout.split("\n") if line.strip()]
    return {job: state for job, state in pairs if state in UNFINISHED}


def ask_processes(jobs: Sequence[Any]) -> dict[str, str]:
    """States of jobs that submitit runs as processes of this machine, without SLURM."""
    return {job.job_id: "RUNNING" for job in jobs if not job.done()}


def parse_minutes(time_limit: str) -> int:
    """Minutes of a time as SLURM writes it: minutes, H:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS.

    Raises:
        UsageError: it is none.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", time_limit.strip())
    if match is None:
        raise UsageError(
            "This is not a time limit of a job.", given=time_limit, expected="60, 4:00:00 or 2-12:00:00", hint="time=60"
        )
    days, first, second, third = match.groups()
    if days is not None:
        seconds = ((int(days) * 24 + int(first)) * 60 + int(second or 0)) * 60 + int(third or 0)
    elif third is not None:
        seconds = (int(first) * 60 + int(second)) * 60 + int(third)
    else:
        seconds = int(first) * 60 + int(second or 0)
    return max(1, -(-seconds // 60))
