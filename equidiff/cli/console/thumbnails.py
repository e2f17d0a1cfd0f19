"""Thumbnails made of half blocks: two pixels in each character, in 24-bit colour."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.console import Console, Group
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from equidiff.folders.text import printable

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 16  # pixels: as many characters wide, and half as many high
GAP = 1
ROWS = 2  # of thumbnails
NARROWEST = 3 * (SIDE + GAP)  # terminals that show fewer in a row show none
LOWEST = SIDE // 2 + 8  # lines of a terminal with thumbnails
HALF = "▀"


class Sheet:
    """A sheet of thumbnails with captions, the query first.

    Args:
        width: characters.
        rows: of thumbnails.
    """

    def __init__(self, width: int, rows: int) -> None:
        self._columns = (width + GAP) // (SIDE + GAP)
        self._rows = rows
        self._cells: list[tuple[list[list[Segment]], Text]] = []
        self.members = 0

    def put_query(self, image: Image, caption: str) -> None:
        """Put the query first."""
        self._cells.insert(0, (half_blocks(image), _caption(caption, "bold")))

    def add(self, image: Image, caption: str) -> None:
        """Add a member, where there is room."""
        self.members += 1
        if len(self._cells) < self._columns * self._rows:
            self._cells.append((half_blocks(image), _caption(caption, "")))

    def draw(self) -> Group:
        """The sheet, a row of thumbnails below the other."""
        cells = list(self._cells)
        rows = [cells[first : first + self._columns] for first in range(0, len(cells), self._columns)]
        return Group(*(line for row in rows for line in _draw_row(row)))


def sheet_for(console: Console) -> Sheet | None:
    """A sheet of as many thumbnails as suit a terminal; None where it has no colours, or no room."""
    if console.no_color or console.is_dumb_terminal or console.color_system not in {"truecolor", "256"}:
        return None
    if console.width < NARROWEST or console.height < LOWEST:
        return None
    return Sheet(console.width, min(ROWS, (console.height - LOWEST) // (SIDE // 2 + 1) + 1))


def half_blocks(image: Image) -> list[list[Segment]]:
    """Lines of an image, fitted into a square of `SIDE` pixels on the terminal's own background."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    left, top = (SIDE - small.width) // 2, (SIDE - small.height) // 2
    pixels = small.tobytes()

    def colour(x: int, y: int) -> Color | None:
        x, y = x - left, y - top
        if not (0 <= x < small.width and 0 <= y < small.height):
            return None
        place = 3 * (y * small.width + x)
        return Color.from_triplet(ColorTriplet(*pixels[place : place + 3]))

    return [[_cell(colour(x, y), colour(x, y + 1)) for x in range(SIDE)] for y in range(0, SIDE, 2)]


def _cell(upper: Color | None, lower: Color | None) -> Segment:
    if upper is None:
        return Segment(" ") if lower is None else Segment("▄", Style(color=lower))
    return Segment(HALF, Style(color=upper, bgcolor=lower))


def _draw_row(cells: list[tuple[list[list[Segment]], Text]]) -> list[Text]:
    gap = [Segment(" " * GAP)]
    lines = []
    for height in range(SIDE // 2):
        segments = chain.from_iterable((*lines_of[height], *gap) for lines_of, _ in cells)
        lines.append(Text.assemble(*((each.text, each.style or "") for each in segments), no_wrap=True))
    captions = Text(no_wrap=True)
    for _, caption in cells:
        captions.append_text(caption)
        captions.append(" " * GAP)
    return [*lines, captions]


def _caption(text: str, style: str) -> Text:
    caption = Text(printable(text).replace("\n", " "), style)
    caption.truncate(SIDE, overflow="ellipsis", pad=True)
    return caption
