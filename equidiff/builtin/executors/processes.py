"""The executor `processes`: worker processes of this machine."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from itertools import count
from pathlib import Path
from typing import Any, final

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from equidiff.builtin.executors import worker
from equidiff.builtin.executors.descriptors import ProcessesOptions
from equidiff.builtin.executors.pool import Pool
from equidiff.contracts import BuildContext
from equidiff.devices import choose_device
from equidiff.errors import WorkerLostError

MOST = 8  # workers on a CPU, unless more are asked for: each holds its own copy of the models


class _Worker:
    """One worker process, and its successors where it dies.

    Args:
        log: a file for what it prints.
        threads: that torch may use in it.
        devices: the CUDA devices that it sees.
    """

    def __init__(self, log: Path, threads: int | None, devices: str | None) -> None:
        self._log, self._begin = log, (str(log), threads, devices)
        self._pool = self._open()

    def _open(self) -> ProcessPool:
        return ProcessPool(1, initializer=worker.begin, initargs=self._begin, context=worker.Context())

    def submit(self, function: Callable[..., Any], args: Sequence[Any]) -> ProcessFuture[Any]:
        if not self._is_sound():
            self.end()
            self._pool = self._open()
        return self._pool.schedule(function, args)

    def _is_sound(self) -> bool:
        """Start the pool where it is new; False where its worker died before it took a call, which breaks it."""
        return self._pool.active

    def cancel(self, call: Future[Any]) -> bool:
        return call.cancel()  # pebble ends the process

    def explain(self, error: BaseException) -> BaseException:
        if isinstance(error, ProcessExpired):
            return self._lost(_reason(error.exitcode))
        if isinstance(error, BrokenProcessPool):
            return self._lost(" before its first call")
        return error

    def _lost(self, how: str) -> WorkerLostError:
        return WorkerLostError(f"A worker process ended{how}.", given=self._last_words())

    def stop(self) -> None:
        self._pool.stop()

    def end(self) -> None:
        self._pool.stop()
        self._pool.join()

    def _last_words(self) -> str | None:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return None
        return next((line.strip() for line in reversed(lines) if line.strip()), None)


@final
class Processes(Pool):
    """Worker processes of this machine, which begin with their first call.

    Args:
        threads: that torch may use in a worker; those of the environment where None.
        devices: for each worker, the CUDA devices that it sees, as `CUDA_VISIBLE_DEVICES` names them; all where None.
    """

    def __init__(self, threads: int | None, devices: Sequence[str | None]) -> None:
        self._logs = tempfile.TemporaryDirectory(prefix="equidiff-workers-", ignore_cleanup_errors=True)
        logs = (Path(self._logs.name) / f"{number}.log" for number in count())
        self._all = [_Worker(log, threads, each) for log, each in zip(logs, devices, strict=False)]
        super().__init__(self._all)

    def end_workers(self) -> None:
        for own in self._all:
            own.stop()
        for own in self._all:
            own.end()
        self._logs.cleanup()


def _reason(code: int) -> str:
    """The way in which a process ended, in words that follow "ended"."""
    if code >= 0:
        return f" with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f" by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")


def build(argument: str | None, options: ProcessesOptions, context: BuildContext) -> Processes:
    """Build the executor: a worker for each CUDA device, or for each core."""
    device = choose_device(context.device)
    if device == "cuda":
        import torch

        visible = _visible_devices(torch.cuda.device_count())
        workers = options.workers or len(visible)
        return Processes(_threads(options, workers), [visible[number % len(visible)] for number in range(workers)])
    workers = options.workers or (min(_cores(), MOST) if device == "cpu" else 1)
    return Processes(_threads(options, workers), [_own_device(device)] * workers)


def _visible_devices(count: int) -> list[str]:
    """Names of the CUDA devices that this process sees."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [str(number) for number in range(count)] if named is None else named.split(",")[:count]


def _own_device(device: str) -> str | None:
    """The one CUDA device that the run asked for."""
    if not device.startswith("cuda:"):
        return None
    number = int(device.removeprefix("cuda:"))
    return _visible_devices(number + 1)[number]


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _threads(options: ProcessesOptions, workers: int) -> int | None:
    """Threads of a worker: an equal share of the cores, unless the user says otherwise."""
    if options.threads is None and worker.THREADS[0] in os.environ:
        return None
    return options.threads or max(1, _cores() // workers)
