"""Ctrl-C from the first import on. Imports nothing heavy: it must be there before anything that is.

An interruption is an exception, and a module that is being imported may lose it: torch clears whatever is raised while
it imports numpy, and goes on with half of it. So an import is never interrupted in the middle, but right after it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from equidiff.cli.exit_codes import INTERRUPTED

IMPORT = "<frozen importlib"


@contextmanager
def prompt_interruption(number: int = signal.SIGINT) -> Iterator[None]:
    """Let a signal raise KeyboardInterrupt where nothing can lose it.

    While EquiDiff's own modules are imported, which happens before any work, the process ends at once. An import of
    any other module is let finish first. A signal that is ignored, as in a shell's background jobs, stays ignored.

    Args:
        number: of the signal.
    """
    before = signal.getsignal(number)
    if before not in {signal.default_int_handler, signal.SIG_DFL} or not _in_main_thread():
        yield
        return
    signal.signal(number, _interrupt)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def prompt_termination() -> Iterator[None]:
    """The same for the signals of a job queue that is about to kill, and of a terminal that was closed."""
    with ExitStack() as stack:
        for name in ("SIGTERM", "SIGHUP"):  # the second is not on Windows
            if hasattr(signal, name):
                stack.enter_context(prompt_interruption(getattr(signal, name)))
        yield


def _interrupt(number: int, frame: FrameType | None) -> None:
    importing = [each for each in _frames(frame) if each.f_code.co_filename.startswith(IMPORT)]
    if not importing:
        raise KeyboardInterrupt
    if any(_is_own_module(each) for each in _frames(frame)):
        _leave()
    _interrupt_after(importing[-1])


def _interrupt_after(outermost: FrameType) -> None:
    """Interrupt in the frame below an import, as soon as it goes on.

    A timer would be late where the command ends meanwhile. Python stops tracing when a trace function raises, so that a
    debugger's ends with it.

    Args:
        outermost: the first frame of the import.
    """
    waiting = outermost.f_back
    if waiting is None:
        raise KeyboardInterrupt

    def goes_on(frame: FrameType, event: str, argument: object) -> None:
        raise KeyboardInterrupt

    waiting.f_trace, waiting.f_trace_opcodes = goes_on, True
    sys.settrace(lambda *_: None)  # for frames to come; tracing must be on for that of `waiting`


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames of this process, from where the signal came up to `prompt_interruption`'s caller and beyond."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_own_module(frame: FrameType) -> bool:
    """True for a module of EquiDiff that is being imported."""
    return frame.f_code.co_name == "<module>" and str(frame.f_globals.get("__name__")).startswith("equidiff.")


def _leave() -> None:
    """End the process without unwinding it: half-imported modules cannot be relied on."""
    try:
        say_interrupted()
    finally:
        os._exit(INTERRUPTED)


def say_interrupted() -> None:
    """Write it in a line of its own to the standard error."""
    clear = "\r\x1b[2K\x1b[?25h" if sys.stderr.isatty() else ""  # a spinner's line; the cursor that it hides
    sys.stderr.write(f"{clear}Interrupted.\n")
    sys.stderr.flush()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
