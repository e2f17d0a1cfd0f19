"""Progress of work whose parts take about equally long: a bar, or a line every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from equidiff.folders.text import printable

Show = Callable[[int, str], None]
PLAIN_INTERVAL_S = 5.0
PROGRESS_DELAY_S = 2.0  # of commands that mostly finish sooner


@contextmanager
def bar(console: Console, total: int, done: int, doing: str, delay: float) -> Iterator[Show]:
    """A bar that appears after a delay, and goes when the work is done."""
    progress = Progress(
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]left"),
        TimeRemainingColumn(),
        console=console,
    )
    task = progress.add_task("", total=total, completed=done)
    state = Text()

    def show(done: int, text: str) -> None:
        progress.update(task, completed=done)
        state.plain = printable(text)

    with live(console, lambda: Group(progress, state), delay):
        yield show


@contextmanager
def live(console: Console, render: Callable[[], RenderableType], delay: float = 0.0) -> Iterator[None]:
    """Draw something again and again below all other output, and remove it at the end."""
    # transient: the table that follows says more than a full bar
    drawn = Live(get_renderable=render, console=console, transient=True)
    timer = threading.Timer(delay, drawn.start)  # even if the first batch is not finished by then
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        drawn.stop()


class PlainProgress:
    """Progress as a line every few seconds.

    Args:
        tell: prints a line.
        total: number of samples or images.
        done: number that are finished already.
    """

    def __init__(self, tell: Callable[[str], None], total: int, done: int) -> None:
        self._tell, self._total, self._first = tell, total, done
        self._started = self._shown = time.monotonic()

    def __call__(self, done: int, state: str) -> None:
        now = time.monotonic()
        if now - self._shown < PLAIN_INTERVAL_S:
            return
        self._shown = now
        elapsed = now - self._started
        line = f"{done}/{self._total} finished: {state}; {elapsed:.0f} s"
        if done > self._first:
            line += f", about {elapsed / (done - self._first) * (self._total - done):.0f} s left"
        self._tell(line)
