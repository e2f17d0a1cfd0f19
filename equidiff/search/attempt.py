"""Calls of components that may fail for one row and not for another, or hang: within a limit in time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from torch import Tensor

from equidiff.devices import is_out_of_memory
from equidiff.errors import EquiDiffError, first_line

T = TypeVar("T")


class TimeLimitError(EquiDiffError):
    """A call of a component that took longer than the limit.

    Args:
        seconds: the limit.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"A pass took longer than the time limit of {seconds:g} s",
            expected="a generator and an objective that return in time",
            hint=f"--time-limit {10 * seconds:g}, or none",
        )
        self.seconds = seconds

    def __reduce__(self) -> tuple[type[TimeLimitError], tuple[float]]:
        return type(self), (self.seconds,)


class _OutOfTimeError(BaseException):
    """Raised in the middle of a call: no handler of a component's own for every Exception may keep it."""


def attempt(call: Callable[[], T], seconds: float | None = None) -> T | BaseException:
    """What a call returns, or the error that it raised; an interruption by the user is raised, as always.

    Args:
        call: of a component.
        seconds: the limit in time. In the main thread, where there are alarms, a call that takes longer is interrupted
            as soon as Python has its turn; elsewhere its result comes too late, and does not count.
    """
    started = time.monotonic()
    try:
        with _alarm(seconds):
            result = call()
    except _OutOfTimeError:
        return TimeLimitError(seconds or 0)
    except (Exception, SystemExit) as error:
        return error
    late = seconds is not None and time.monotonic() - started > seconds
    return TimeLimitError(seconds or 0) if late else result


def each_row(call: Callable[[Tensor], T], rows: Tensor, seconds: float | None = None) -> list[T | BaseException]:
    """What a call returns for all rows at once; where that fails, for each row alone, or its error.

    Where memory does not suffice for all rows, it is called for their halves.

    Args:
        call: of a component.
        rows: its argument.
        seconds: as for `attempt`.

    Raises:
        Exception: memory does not suffice for a single row.
    """
    found = attempt(lambda: call(rows), seconds)
    if not isinstance(found, BaseException):
        return [found]
    too_large = is_out_of_memory(found)
    if len(rows) == 1:
        if too_large:
            raise found
        return [found]
    return [each for part in rows.split(len(rows) // 2 if too_large else 1) for each in each_row(call, part, seconds)]


def reason(error: BaseException) -> str:
    """The reason for a failure, as a sample's record has it."""
    if isinstance(error, EquiDiffError):
        return error.problem
    return f"{type(error).__name__}: {first_line(error)}"


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    """Raise an error in the block when it has taken this long, and again after as long, where it was not heeded."""
    if seconds is None or not hasattr(signal, "setitimer") or not _in_main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        if armed:
            raise _OutOfTimeError

    armed = True
    before = signal.signal(signal.SIGALRM, ring)
    started = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:  # an alarm of someone else's, who waits for it
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - started), 1e-3), interval)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
