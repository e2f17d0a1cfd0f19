"""The contract of executors: places where calls are carried out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")
Self = TypeVar("Self", bound="Executor")


class Executor(ABC):
    """A place where calls are carried out: threads, processes, or other machines. After `concurrent.futures.Executor`.

    An executor knows nothing of runs. It carries out functions that can be imported where its workers are, with
    arguments and results that can be pickled. A worker is a process that stays, so that what one call has loaded is
    there for the next.

    A future has the exception `equidiff.errors.WorkerLostError` where the worker died: the call may be submitted again.
    It is running (`Future.running`) from when a worker begins with it. An exception that the function raised is the
    future's own.

    Attributes:
        workers: number of calls that are carried out at the same time.
        costly: True where a call takes long to begin, as a job in a queue does: work is best divided into as many calls
            as there are workers.
    """

    workers: int
    costly: bool = False

    @abstractmethod
    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Have a function called by a worker, and return at once with the future of its result."""

    @abstractmethod
    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        """End the workers. It may be called again, and from another thread.

        Args:
            wait: return when all calls are done; else end those that are under way, and return within a second or two.
            cancel_futures: cancel the calls that no worker has begun.
        """

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(wait=error is None, cancel_futures=error is not None)
