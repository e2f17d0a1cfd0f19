"""A pool of workers that take one call at a time: the queue that the executors `processes` and `ray` share."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, Protocol, TypeVar

from equidiff.contracts import Executor

T = TypeVar("T")


class Worker(Protocol):
    """Carries out one call at a time; it comes back after it died."""

    def submit(self, function: Callable[..., Any], args: Sequence[Any]) -> Future[Any]:
        """Begin with a call."""

    def cancel(self, call: Future[Any]) -> bool:
        """End a call that is under way, which may need that the worker dies; True where it ends."""

    def explain(self, error: BaseException) -> BaseException:
        """The exception for the user's future, in the words of the contract. The worker is ready for a call again."""


class _Future(Future[T]):
    """A future whose call can be cancelled while a worker is at it."""

    call: tuple[Worker, Future[T]] | None = None

    def cancel(self) -> bool:
        if super().cancel():
            return True
        return self.call is not None and self.call[0].cancel(self.call[1])


class Pool(Executor):
    """Gives calls to idle workers.

    Args:
        workers: that there are.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = len(workers)
        self._idle = deque(workers)
        self._waiting: deque[tuple[_Future[Any], Callable[..., Any], Sequence[Any]]] = deque()
        self._under_way: set[_Future[Any]] = set()
        self._changed = threading.Condition(threading.RLock())
        self._ended = False
        self._error: Exception | None = None

    @abstractmethod
    def end_workers(self) -> None:
        """End the workers, at once and for good."""

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        future: _Future[T] = _Future()
        with self._changed:
            if self._ended:
                raise RuntimeError("the executor has been shut down")
            if self._error is not None:
                future.set_exception(self._error)
                return future
            self._waiting.append((future, function, args))
            self._begin()
        return future

    def _begin(self) -> None:
        """Give the calls that wait to idle workers."""
        while self._idle and self._waiting and not self._ended:
            future, function, args = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                worker = self._idle.popleft()
                self._under_way.add(future)
                call = worker.submit(function, args)
                future.call = worker, call
                call.add_done_callback(partial(self._finish, worker, future))

    def _finish(self, worker: Worker, future: _Future[Any], call: Future[Any]) -> None:
        error: BaseException | None = None
        try:
            value = call.result()
        except BaseException as raised:  # by the function, or by its worker
            value, error = None, worker.explain(raised)
        with self._changed:
            if future not in self._under_way:
                return  # the shutdown has answered it
            self._under_way.discard(future)
            self._idle.append(worker)
            self._begin()
            self._changed.notify_all()
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def fail(self, error: Exception) -> None:
        """End all calls with an error, and those to come: the workers are gone for good."""
        with self._changed:
            self._error = error
            left, self._under_way = self._under_way, set()
            waiting = [future for future, _, _ in self._waiting if future.set_running_or_notify_cancel()]
            self._waiting.clear()
            self._changed.notify_all()
        for future in [*left, *waiting]:
            future.set_exception(error)

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        with self._changed:
            while cancel_futures and self._waiting:
                self._waiting.popleft()[0].cancel()
            while wait and (self._waiting or self._under_way):
                self._changed.wait()
            ended, self._ended = self._ended, True
            left, self._under_way = self._under_way, set()
            waiting = [future for future, _, _ in self._waiting]
            self._waiting.clear()
        if not ended:
            self.end_workers()
        for future in left:
            future.set_exception(CancelledError())
        for future in waiting:
            future.cancel()
