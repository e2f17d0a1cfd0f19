"""The executor `slurm`: jobs of a SLURM cluster, through submitit."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, final

from equidiff.builtin.executors.descriptors import SlurmOptions
from equidiff.builtin.executors.slurm_jobs import RESTARTS, Job, ask_processes, ask_slurm, parse_minutes
from equidiff.contracts import BuildContext, Executor
from equidiff.errors import EquiDiffError, PluginError, UsageError, WorkerLostError

T = TypeVar("T")

GATHER_S = 0.3  # calls that are submitted within this time of each other become one array of jobs
LOOK_S = 0.5  # between two looks for results
ASK_S = 5.0  # between two questions to SLURM about its jobs
GRACE_S = 15.0  # for the result of a job that SLURM does not know any more to reach this machine's view of a disk
EXTRA = "pip install 'equidiff[slurm]'"


class _Future(Future[T]):
    """A future whose job can be cancelled while it runs."""

    job: Any = None
    gone: float | None = None  # since when SLURM does not know the job

    def cancel(self) -> bool:
        if self.done():
            return self.cancelled()
        if self.job is not None:
            self.job.cancel(check=False)
        return super().cancel() or self.job is not None


@final
class Slurm(Executor):
    """Jobs of a cluster. Calls that come together become one array.

    Args:
        queue: submitit's executor.
        jobs: at the same time.
        folder: for the files of the jobs, on a disk that all nodes share.
        states: asks for the states of jobs, by their names; those that have ended may be missing.
    """

    costly = True

    def __init__(self, queue: Any, jobs: int, folder: Path, states: Callable[[Sequence[Any]], dict[str, str]]) -> None:
        self.workers = jobs
        self._queue, self._folder, self._states = queue, folder, states
        self._new: list[tuple[_Future[Any], Callable[..., Any], Sequence[Any]]] = []
        self._newest = self._asked = 0.0
        self._active: list[_Future[Any]] = []
        self._changed = threading.Condition()
        self._ended = False
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        future: _Future[T] = _Future()
        with self._changed:
            if self._ended:
                raise RuntimeError("the executor has been shut down")
            self._new.append((future, function, args))
            self._newest = time.monotonic()
        return future

    def _watch(self) -> None:
        while not self._ended:
            with self._changed:
                self._send()
                self._look()
                self._changed.notify_all()
            time.sleep(LOOK_S)

    def _send(self) -> None:
        """Submit the calls that have gathered."""
        if not self._new or time.monotonic() - self._newest < GATHER_S:
            return
        calls = [call for call in self._new if not call[0].cancelled()]
        self._new.clear()
        try:
            with self._queue.batch():
                jobs = [self._queue.submit(Job(function), *args) for _, function, args in calls]
        except Exception as error:  # sbatch refuses them
            for future, _, _ in calls:
                future.set_exception(_refused(error))
            return
        for (future, _, _), job in zip(calls, jobs, strict=True):
            future.job = job
            self._active.append(future)

    def _look(self) -> None:
        """Answer the futures whose jobs have ended."""
        self._active = [future for future in self._active if not future.cancelled()]
        for future in [future for future in self._active if future.job.paths.result_pickle.exists()]:
            self._active.remove(future)
            _answer(future)
        now = time.monotonic()
        if not self._active or now - self._asked < ASK_S:
            return
        self._asked = now
        states = self._states([future.job for future in self._active])
        for future in list(self._active):
            state = states.get(future.job.job_id)
            if state == "RUNNING" and not future.running():
                future.set_running_or_notify_cancel()
            if state is not None:
                future.gone = None
            elif future.gone is None:
                future.gone = now
            elif now - future.gone > GRACE_S:
                self._active.remove(future)
                _begin(future)
                future.set_exception(_lost(future.job))

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        with self._changed:
            while cancel_futures and self._new:
                self._new.pop()[0].cancel()
            while wait and (self._new or self._active):
                self._changed.wait(LOOK_S)
            ended, self._ended = self._ended, True
            left = list(self._active)
            self._active.clear()
        if ended:
            return
        for future in left:
            future.job.cancel(check=False)
        for future in left:
            if not future.cancelled():
                _begin(future)
                future.set_exception(CancelledError())
        shutil.rmtree(self._folder, ignore_errors=True)


def _begin(future: _Future[Any]) -> None:
    if not future.running():
        future.set_running_or_notify_cancel()


def _answer(future: _Future[Any]) -> None:
    """Give a future the result of its job."""
    _begin(future)
    try:
        value, error = future.job.result()
    except Exception as failure:  # it did not come as far as the function
        lines = [line.strip() for line in str(failure).split("\n") if line.strip(" -")]
        problem = next((line for line in reversed(lines) if re.match(r"\w*(Error|Exception)\b", line)), lines[0])
        future.set_exception(EquiDiffError(f"A job failed: {problem}", given=f"job {future.job.job_id}"))
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def _lost(job: Any) -> WorkerLostError:
    """The error for a job that ended without a result."""
    told = ""
    with suppress(OSError):
        told = job.stderr() or ""
    lines = [line.strip() for line in told.split("\n") if line.strip()]
    return WorkerLostError(f"Job {job.job_id} ended without a result.", given=lines[-1] if lines else None)


def _refused(error: Exception) -> UsageError:
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    told = next((line for line in lines if "error" in line.lower()), lines[0] if lines else type(error).__name__)
    return UsageError(
        f"SLURM does not take the jobs: {told}",
        expected="a partition, an account and resources that the cluster has",
        hint="sinfo   # lists the partitions",
    )


def build(argument: str | None, options: SlurmOptions, context: BuildContext) -> Slurm:
    """Build the executor."""
    try:
        import submitit
    except ImportError as error:
        raise PluginError(
            "The executor slurm needs a package that is missing.", given=error.name, hint=EXTRA
        ) from error
    if options.cluster == "slurm" and shutil.which("sbatch") is None:
        raise UsageError(
            "SLURM is not installed on this machine.",
            given="--executor slurm",
            expected="a machine from which jobs are submitted, with sbatch and squeue",
            hint="--executor processes",
        )
    parent = Path(options.folder or ".")
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="equidiff-slurm-", dir=parent)).absolute()
    queue = submitit.AutoExecutor(folder, cluster=options.cluster, slurm_max_num_timeout=RESTARTS)
    queue.update_parameters(name="equidiff", timeout_min=parse_minutes(options.time), **_parameters(options, context))
    return Slurm(queue, options.jobs, folder, ask_slurm if options.cluster == "slurm" else ask_processes)


def _parameters(options: SlurmOptions, context: BuildContext) -> dict[str, Any]:
    """What submitit calls the options."""
    gpus = options.gpus if options.gpus is not None else int(context.device.startswith("cuda"))
    given = {
        "slurm_partition": options.partition,
        "slurm_account": options.account,
        "slurm_qos": options.qos,
        "slurm_constraint": options.constraint,
        "slurm_mem": options.mem,
        "slurm_gpus_per_node": gpus or None,
        "slurm_cpus_per_task": options.cpus,
        "slurm_signal_delay_s": 30,
    }
    return {name: value for name, value in given.items() if value is not None}
