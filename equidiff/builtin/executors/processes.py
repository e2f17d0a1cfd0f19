"""The executor `processes`: worker processes of this machine."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar, final

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from equidiff.builtin.executors import worker
from equidiff.builtin.executors.descriptors import ProcessesOptions
from equidiff.contracts import BuildContext, Executor
from equidiff.errors import WorkerLostError

T = TypeVar("T")

MOST = 8  # workers on a CPU, unless more are asked for: each holds its own copy of the models


class _Future(Future[T]):
    """A future whose call can be cancelled while a worker is at it, which ends the worker."""

    task: ProcessFuture[T] | None = None

    def cancel(self) -> bool:
        if super().cancel():
            return True
        return self.task is not None and self.task.cancel()


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

    def submit(self, function: Callable[..., T], args: Sequence[Any]) -> ProcessFuture[T]:
        if not self._is_sound():
            self.end()
            self._pool = self._open()
        return self._pool.schedule(function, args)

    def _is_sound(self) -> bool:
        """Start the pool where it is new; False where its worker died before it took a call, which breaks it."""
        return self._pool.active

    def stop(self) -> None:
        self._pool.stop()

    def end(self) -> None:
        self._pool.stop()
        self._pool.join()

    def lost(self, code: int | None) -> WorkerLostError:
        """The error for a call during which the process ended."""
        return WorkerLostError(f"A worker process ended{_reason(code)}.", given=self._last_words())

    def _last_words(self) -> str | None:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return None
        return next((line.strip() for line in reversed(lines) if line.strip()), None)


@final
class Processes(Executor):
    """Worker processes of this machine, which begin with their first call.

    Args:
        threads: that torch may use in a worker; those of the environment where None.
        devices: for each worker, the CUDA devices that it sees, as `CUDA_VISIBLE_DEVICES` names them; all where None.
    """

    def __init__(self, threads: int | None, devices: Sequence[str | None]) -> None:
        self.workers = len(devices)
        self._logs = tempfile.TemporaryDirectory(prefix="equidiff-workers-", ignore_cleanup_errors=True)
        logs = (Path(self._logs.name) / f"{number}.log" for number in count())
        self._idle = [_Worker(log, threads, each) for log, each in zip(logs, devices, strict=False)]
        self._all = list(self._idle)
        self._waiting: deque[tuple[_Future[Any], Callable[..., Any], Sequence[Any]]] = deque()
        self._under_way: set[_Future[Any]] = set()
        self._lock = threading.Condition(threading.RLock())
        self._ended = False

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        future: _Future[T] = _Future()
        with self._lock:
            if self._ended:
                raise RuntimeError("the executor has been shut down")
            self._waiting.append((future, function, args))
            self._begin()
        return future

    def _begin(self) -> None:
        """Give the calls that wait to idle workers."""
        while self._idle and self._waiting:
            future, function, args = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                own = self._idle.pop(0)
                self._under_way.add(future)
                future.task = own.submit(function, args)
                future.task.add_done_callback(partial(self._finish, own, future))

    def _finish(self, own: _Worker, future: _Future[Any], task: Future[Any]) -> None:
        with self._lock:
            self._idle.append(own)
            self._under_way.discard(future)
            if not self._ended:
                self._begin()
            self._lock.notify_all()
        try:
            future.set_result(task.result())
        except CancelledError:
            future.set_exception(CancelledError())
        except ProcessExpired as error:
            future.set_exception(own.lost(error.exitcode))
        except (BrokenProcessPool, RuntimeError) as error:
            future.set_exception(own.lost(None) if isinstance(error, BrokenProcessPool) else error)
        except BaseException as error:  # of the function
            future.set_exception(error)

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        with self._lock:
            while cancel_futures and self._waiting:
                self._waiting.popleft()[0].cancel()
            while wait and (self._waiting or len(self._idle) < self.workers):
                self._lock.wait()
            self._ended = True
        for own in self._all:
            own.stop()
        for own in self._all:
            own.end()
        for future in self._under_way:
            future.set_exception(CancelledError())
        self._under_way.clear()
        self._logs.cleanup()


def _reason(code: int | None) -> str:
    """The way in which a process ended, in words that follow "ended"."""
    if code is None:
        return " before its first call"
    if code >= 0:
        return f" with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f" by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")


def build(argument: str | None, options: ProcessesOptions, context: BuildContext) -> Processes:
    """Build the executor: a worker for each CUDA device, or for each core."""
    if context.device == "cuda":
        import torch

        visible = _visible_devices(torch.cuda.device_count())
        workers = options.workers or len(visible)
        return Processes(_threads(options, workers), [visible[number % len(visible)] for number in range(workers)])
    workers = options.workers or (min(_cores(), MOST) if context.device == "cpu" else 1)
    return Processes(_threads(options, workers), [_own_device(context.device)] * workers)


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
