"""The executor `inline`: this process itself."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar, final

from equidiff.contracts import BuildContext, Executor
from equidiff.plugin import Options

T = TypeVar("T")


@final
class Inline(Executor):
    """Carries out each call when it is submitted, in the thread that submits it."""

    workers = 1

    def __init__(self) -> None:
        self._ended = False

    def submit(self, function: Callable[..., T], /, *args: Any) -> Future[T]:
        if self._ended:
            raise RuntimeError("the executor has been shut down")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(function(*args))
        except Exception as error:  # whatever the function raises is the future's
            future.set_exception(error)
        return future

    def shutdown(self, *, wait: bool = True, cancel_futures: bool = False) -> None:
        self._ended = True


def build(argument: str | None, options: Options, context: BuildContext) -> Inline:
    """Build the executor."""
    return Inline()
