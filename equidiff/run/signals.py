"""Signals that wait until what they would interrupt has ended."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is not on Windows


@contextmanager
def held_signals() -> Iterator[None]:
    """Let a Ctrl-C, or a signal that ends the process, wait until the block has ended; a second one does not wait."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            release()
            signal.raise_signal(number)

    def release() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler not in {None, signal.SIG_IGN}}
    for number in before:
        signal.signal(number, hold)
    try:
        yield
    finally:
        release()
        if len(came) == 1:
            signal.raise_signal(came[0])
