"""Progress of a search: a bar of the work done, the samples under way, and thumbnails of the members found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from equidiff.cli.console.progress import PLAIN_INTERVAL_S, live
from equidiff.cli.console.thumbnails import Sheet
from equidiff.folders.text import printable

if TYPE_CHECKING:
    from PIL.Image import Image

BLOCKS = "▁▂▃▄▅▆▇█"
BAR = 24  # characters
REDRAWN_S = 0.05  # between two states of a bar that moves


@dataclass(frozen=True)
class SearchState:
    """State of a search.

    Attributes:
        finished: number of finished samples.
        share: of the work done, in [0, 1].
        seconds: that are left; None where it cannot be told yet.
        text: about the samples, in words.
        levels: how far each sample under way has come, in [0, 1].
    """

    finished: int = 0
    share: float = 0.0
    seconds: float | None = None
    text: str = ""
    levels: Sequence[float] = ()


class SearchDisplay:
    """Shows a search; this one shows nothing.

    Attributes:
        pictures: it shows thumbnails, too.
    """

    pictures = False

    @property
    def is_due(self) -> bool:
        """True if a new state would be shown; False a moment after the last one."""
        return False

    def show(self, state: SearchState) -> None:
        """Show how far the search is."""

    def put_query(self, image: Image, caption: str) -> None:
        """Show the query before the members."""

    def add(self, image: Image, caption: str) -> None:
        """Show a member as a thumbnail."""


class PlainSearch(SearchDisplay):
    """A line every few seconds."""

    def __init__(self, tell: Callable[[str], None], total: int) -> None:
        self._tell, self._total = tell, total
        self._started = self._shown = time.monotonic()

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._shown >= PLAIN_INTERVAL_S

    def show(self, state: SearchState) -> None:
        if not self.is_due:
            return
        now = self._shown = time.monotonic()
        left = "" if state.seconds is None else f", about {duration(state.seconds)} left"
        elapsed = _clock(now - self._started)
        self._tell(f"{state.finished}/{self._total} finished: {state.text}; {elapsed}{left}")


class LiveSearch(SearchDisplay):
    """Bar, gauges and thumbnails that move.

    Args:
        console: to draw on.
        total: number of samples.
        sheet: of thumbnails; None where the terminal cannot show them.
    """

    def __init__(self, console: Console, total: int, sheet: Sheet | None) -> None:
        self._console, self._total, self._sheet = console, total, sheet
        self._state = SearchState()
        self._started = self._told = time.monotonic()
        self.pictures = sheet is not None

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._told >= REDRAWN_S

    def show(self, state: SearchState) -> None:
        self._state, self._told = state, time.monotonic()

    def put_query(self, image: Image, caption: str) -> None:
        if self._sheet is not None:
            self._sheet.put_query(image, caption)

    def add(self, image: Image, caption: str) -> None:
        if self._sheet is not None:
            self._sheet.add(image, caption)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw until the search ends; the thumbnails stay."""
        try:
            with live(self._console, self._render):
                yield
        finally:
            if self._sheet is not None and self._sheet.members:
                self._console.print(self._sheet.draw())

    def _render(self) -> RenderableType:
        now, state = time.monotonic(), self._state
        grid = Table.grid(padding=(0, 1))
        left = Text()
        if state.seconds is not None:
            # counts down between two messages
            left = Text(f"about {duration(max(state.seconds - (now - self._told), 0.0))} left")
        grid.add_row(
            ProgressBar(1.0, state.share, width=BAR),
            Text(f"{state.finished}/{self._total}"),
            Text(_clock(now - self._started), "dim"),
            left,
        )
        gauges = "".join(BLOCKS[min(int(level * len(BLOCKS)), len(BLOCKS) - 1)] for level in state.levels[:64])
        below = Text.assemble((gauges, "cyan"), " " * bool(gauges), (printable(state.text), "dim"))
        sheet = [self._sheet.draw()] if self._sheet is not None and self._sheet.members else []
        return Group(*sheet, grid, below)


def _clock(seconds: float) -> str:
    """Seconds since the start, as a clock shows them: "0:08"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def duration(seconds: float) -> str:
    """Seconds as people say them: "8 s", "3 min", "1 h 20 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
