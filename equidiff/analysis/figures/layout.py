"""Layout of figures in inches: panels of one size with equal gaps, and text broken into lines that fit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEADING = 1.25  # height of a line of text, in sizes of its font
POINTS = 72  # in an inch
HINTED = 1.04  # glyphs are placed on whole pixels, which makes a text wider by up to this factor
EDGE = 0.1  # inches left free at the border of a figure


class Sheet:
    """A figure on which axes are placed in inches from its top left corner.

    Args:
        width: of the figure.
        height: of the figure.
        dpi: pixels in an inch.
    """

    def __init__(self, width: float, height: float, dpi: int) -> None:
        # the object API: pyplot would keep state and may want a display
        from matplotlib.figure import Figure

        self.figure: Figure = Figure(figsize=(width, height), dpi=dpi)
        self.width, self.height = width, height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes; their labels lie outside of this area."""
        area = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(area)

    def row(self, left: float, top: float, count: int, size: tuple[float, float], gap: float) -> list[Axes]:
        """Add axes of one size, side by side."""
        return [self.axes(left + place * (size[0] + gap), top, *size) for place in range(count)]

    def text(self, left: float, top: float, text: str, points: float, colour: str = "black") -> None:
        """Write text whose top left corner is here."""
        place = left / self.width, 1 - top / self.height
        self.figure.text(*place, text, fontsize=points, color=colour, ha="left", va="top", linespacing=LEADING)


def lines_height(text: str, points: float) -> float:
    """Height of a text, in inches; 0 if it is empty."""
    return (text.count("\n") + 1) * LEADING * points / POINTS if text else 0.0


def text_width(text: str, points: float) -> float:
    """Width of the widest line of a text in the font of the figures, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=points)
    widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in text.split("\n")]
    return HINTED * max(widths) / POINTS


def fold(text: str, width: float, points: float) -> str:
    """Break text into lines: between words, and words that are too long, such as specs, after their punctuation.

    Args:
        text: one or more lines.
        width: of a line, in inches.
        points: size of the font.
    """
    return "\n".join(line for given in text.split("\n") for line in _folded(given, width, points))


def _folded(text: str, width: float, points: float) -> Iterator[str]:
    line = ""
    for word in re.findall(r"\S+\s*", text):
        for part in _parts(word, width, points):
            if line and text_width((line + part).rstrip(), points) > width:
                yield line.rstrip()
                line = ""
            line += part
    yield line.rstrip()


def _parts(word: str, width: float, points: float) -> Sequence[str]:
    """A word, or its parts if it is wider than a line."""
    if text_width(word.rstrip(), points) <= width:
        return [word]
    parts = re.findall(r"[^,:/_.]+[,:/_.]*\s*|[,:/_.]+\s*", word)
    return [piece for part in parts for piece in (part if text_width(part.rstrip(), points) > width else [part])]


def render(figure: Figure) -> Image.Image:
    """Draw a figure as an image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
