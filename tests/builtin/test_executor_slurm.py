"""The executor `slurm`, with submitit's queue of processes in place of a cluster."""

import os
import subprocess
import time
from pathlib import Path

import pytest
import stopped_job

from equidiff.builtin.executors import slurm, slurm_jobs
from equidiff.builtin.executors.descriptors import SlurmOptions
from equidiff.builtin.executors.slurm_jobs import Job, ask_slurm, parse_minutes
from equidiff.contracts import BuildContext
from equidiff.errors import EquiDiffError, UsageError
from equidiff.testing import check_executor

pytest.importorskip("submitit", reason="submitit is not installed")
LONGEST_S = 60


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(slurm, "LOOK_S", 0.05)
    monkeypatch.setattr(slurm, "GATHER_S", 0.05)
    monkeypatch.setattr(slurm, "ASK_S", 0.1)
    monkeypatch.setattr(slurm, "GRACE_S", 0.5)


def open_queue(tmp_path, jobs=2):
    return slurm.build(None, SlurmOptions(jobs=jobs, cluster="local", folder=str(tmp_path / "jobs")), BuildContext())


def test_it_keeps_the_contract_and_leaves_no_files(tmp_path):
    executor = open_queue(tmp_path, 1)
    assert executor.costly
    check_executor(executor)
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_job_at_its_time_limit_goes_on_in_a_second_turn(tmp_path, monkeypatch):
    here = str(Path(stopped_job.__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH")))))
    with open_queue(tmp_path, 1) as executor:
        assert executor.submit(stopped_job.stop_once, tmp_path / "marker").result(LONGEST_S) == "ended in a second turn"


# of submitit: the process of a job that was cancelled
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_job_that_is_cancelled_while_it_waits_is_gone(tmp_path, monkeypatch):
    """Of two copies of a call the second may still be in the queue when the first has ended."""
    monkeypatch.setattr(slurm, "ask_processes", lambda jobs: {job.job_id: "PENDING" for job in jobs})
    with open_queue(tmp_path, 1) as executor:
        waiting = executor.submit(time.sleep, 5)
        ends = time.monotonic() + 30
        while waiting.job is None and time.monotonic() < ends:
            time.sleep(0.01)
        assert waiting.cancel()
        assert waiting.cancelled()
        assert executor.submit(pow, 2, 3).result(LONGEST_S) == 8


def test_the_end_of_the_work_in_the_queue_is_put_off_by_no_exception(monkeypatch):
    """A solver that keeps every exception does not keep a job from stopping: the process ends at once."""
    ended, told = [], []
    monkeypatch.setattr(slurm_jobs.os, "_exit", ended.append)
    monkeypatch.setattr(slurm_jobs.subprocess, "run", lambda command, **_: told.append(command))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    Job(print).checkpoint()
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    Job(print).checkpoint()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "100")
    Job(print).checkpoint()
    assert told == [["scontrol", "requeue", "17"], ["scontrol", "requeue", "12_3"]]
    assert ended == [144] * 3


class Named:
    def __init__(self, job_id):
        self.job_id = job_id


@pytest.mark.parametrize(
    ("code", "stdout", "stderr", "states"),
    [
        (0, "7_0 RUNNING\n7_1 PENDING\n8 COMPLETED\n9 FAILED\n", "", {"7_0": "RUNNING", "7_1": "PENDING"}),
        (1, "", "slurm_load_jobs error: Invalid job id specified", {}),
        (1, "", "Unable to contact slurm controller", {"7_0": "UNKNOWN", "7_1": "UNKNOWN", "8": "UNKNOWN"}),
    ],
)
def test_states_are_those_that_squeue_tells(code, stdout, stderr, states, monkeypatch):
    asked = []

    def run(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, code, stdout, stderr)

    monkeypatch.setattr(slurm_jobs.subprocess, "run", run)
    assert ask_slurm([Named("7_0"), Named("7_1"), Named("8")]) == states
    assert asked[0][-1] == "--jobs=7,8"


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("60", 60), ("90:30", 91), ("4:00:00", 240), ("2-12", 3600), ("1-00:30:10", 1471), ("0:10", 1)],
)
def test_times_are_read_as_slurm_reads_them(text, minutes):
    assert parse_minutes(text) == minutes


def test_bad_times_and_a_machine_without_slurm_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="time limit"):
        parse_minutes("an hour")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EquiDiffError, match="not installed"):
        slurm.build(None, SlurmOptions(folder=str(tmp_path)), BuildContext())


def test_the_options_are_those_of_sbatch():
    options = SlurmOptions(partition="gpu", account="me", cpus=4, mem="16GB", gpus=2, constraint="a100")
    parameters = slurm._parameters(options, BuildContext())
    assert (
        parameters.items()
        >= {
            "slurm_partition": "gpu",
            "slurm_account": "me",
            "slurm_cpus_per_task": 4,
            "slurm_mem": "16GB",
            "slurm_gpus_per_node": 2,
            "slurm_constraint": "a100",
        }.items()
    )
    assert "slurm_gpus_per_node" not in slurm._parameters(SlurmOptions(), BuildContext())
    assert slurm._parameters(SlurmOptions(), BuildContext(device="cuda"))["slurm_gpus_per_node"] == 1
