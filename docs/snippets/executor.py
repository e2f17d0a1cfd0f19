"""`pool`: a pool of processes, in the place of an executor of your own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, TypeVar, final

from equidiff.contracts import BuildContext, Executor
from equidiff.errors import WorkerLostError
from pebble import ProcessExpired, ProcessPool

if TYPE_CHECKING:
    from equidiff_pool.plugin import PoolOptions

T = TypeVar("T")


@final
class PoolExecutor(Executor):
    """Carries out calls in processes of this machine, which stay from one call to the next.

    Put your own queue here: it gets functions that its workers can import, with arguments that can be pickled.

    Args:
        workers: number of processes.
    """

    costly = False  # True where a call takes long to begin, as a job in a queue does

    def __init__(self, workers: int = 2) -> None:
        self.workers = workers
        self._pool = ProcessPool(workers, context=multiprocessing.get_context("spawn"))

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        """Have a worker call a function, and return at once."""
        return _Call(self._pool.schedule(function, args))

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        """End the workers: when all calls are done, or at once."""
        if wait and not cancel_futures:
            self._pool.close()
        else:
            self._pool.stop()
        self._pool.join()


class _Call(Future[T]):
    """The future of a call, which says in the words of the contract that a worker died.

    Args:
        call: the pool's own future.
    """

    def __init__(self, call: Future[T]) -> None:
        super().__init__()
        self._call = call
        call.add_done_callback(self._finish)

    def cancel(self) -> bool:
        return self._call.cancel()

    def running(self) -> bool:
        return self._call.running()

    def _finish(self, call: Future[T]) -> None:
        try:
            result = call.result()
        except CancelledError:
            super().cancel()
            self.set_running_or_notify_cancel()
        except ProcessExpired as error:
            self.set_exception(WorkerLostError(f"A worker ended with exit code {error.exitcode}."))
        except BaseException as error:  # whatever the function raised is the future's
            self.set_exception(error)
        else:
            self.set_result(result)


def build(argument: str | None, options: PoolOptions, context: BuildContext) -> Executor:
    """Build `pool`."""
    return PoolExecutor(options.workers)
