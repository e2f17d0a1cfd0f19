"""Measures the layout of figures: texts that overlap or are cut, panels of uneven size, gaps that differ."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image, ImageDraw

SMALLEST_FONT = 7  # points
SMALLEST_PANEL = 0.9  # inches
SLACK = 1.5  # pixels: boxes of texts have a border


def flaws(figure: Figure) -> list[str]:
    """Everything that makes a figure hard to read, in words; empty if it is well laid out."""
    FigureCanvasAgg(figure)  # its font metrics
    figure.draw_without_rendering()
    # copied, because a second call of the layout engine could move them
    texts = [(each.get_text(), _box(each)) for each in _shown(figure)]
    return [
        *_cut(texts, figure),
        *_overlapping(texts),
        *_on_other_axes(figure),
        *(f"{each.get_text()!r} is small" for each in _shown(figure) if each.get_fontsize() < SMALLEST_FONT),
        *_uneven(figure),
    ]


def _shown(figure: Figure) -> list[Text]:
    """The texts that are drawn: tick labels outside of the limits of their axis are not."""
    hidden: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-6 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not axes.axison or not low - slack <= tick.get_loc() <= high + slack:
                    hidden |= {tick.label1, tick.label2}
    found = figure.findobj(lambda each: isinstance(each, Text) and each.get_visible() and each.get_text().strip())
    return [each for each in dict.fromkeys(found) if each not in hidden]


def _box(text: Text) -> Bbox:
    return text.get_window_extent().padded(-SLACK)


def _cut(texts: list[tuple[str, Bbox]], figure: Figure) -> list[str]:
    width, height = figure.bbox.size
    return [
        f"{text!r} is cut"
        for text, box in texts
        if box.x0 < -SLACK or box.y0 < -SLACK or box.x1 > width + SLACK or box.y1 > height + SLACK
    ]


def _overlapping(texts: list[tuple[str, Bbox]]) -> list[str]:
    return [f"{a!r} overlaps {b!r}" for (a, one), (b, other) in itertools.combinations(texts, 2) if one.overlaps(other)]


def _on_other_axes(figure: Figure) -> list[str]:
    """Texts of one panel, or of the figure, that lie on another panel."""
    boxes = {text: _box(text) for text in _shown(figure)}
    found = []
    for axes in filter(lambda each: each.get_visible(), figure.axes):
        panel, own = axes.get_window_extent().padded(-SLACK), set(axes.findobj(Text))
        found += [
            f"{text.get_text()!r} lies on a panel"
            for text, box in boxes.items()
            if text not in own and box.overlaps(panel)
        ]
    return found


def _uneven(figure: Figure) -> list[str]:
    """Image panels that are tiny, and gaps between neighbours in a row that differ."""
    boxes = [axes.get_window_extent() for axes in figure.axes if axes.images]
    found = ["a panel is tiny" for box in boxes if max(box.size) < SMALLEST_PANEL * figure.dpi]
    for row in _rows(boxes):
        gaps = [right.x0 - left.x1 for left, right in itertools.pairwise(sorted(row, key=lambda box: box.x0))]
        if gaps and (max(gaps) - min(gaps) > 2 * SLACK or min(gaps) < 0):
            found.append(f"gaps from {min(gaps):.0f} to {max(gaps):.0f} pixels")
    return found


def _rows(boxes: list[Bbox]) -> list[list[Bbox]]:
    """Panels whose tops and bottoms are level."""
    rows: list[list[Bbox]] = []
    for box in boxes:
        level = (row for row in rows if max(abs(row[0].y0 - box.y0), abs(row[0].y1 - box.y1)) < SLACK)
        row = next(level, None)
        if row is None:
            rows.append([box])
        else:
            row.append(box)
    return rows


def flaws_of_sheet(draw: Callable[[], Image.Image]) -> list[str]:
    """Texts that overlap each other or are cut, in an image that a function draws with Pillow."""
    texts: list[tuple[str, Bbox]] = []
    write, write_lines = ImageDraw.ImageDraw.text, ImageDraw.ImageDraw.multiline_text

    def record(self, xy, text, fill=None, font=None, *args, **options):
        if str(text).strip():
            bounds = self.textbbox(xy, text, font, anchor=options.get("anchor"), spacing=options.get("spacing", 4))
            texts.append((str(text), Bbox([bounds[:2], bounds[2:]])))
        return (write_lines if "\n" in str(text) else write)(self, xy, text, fill, font, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageDraw.ImageDraw, "text", record)
        patch.setattr(ImageDraw.ImageDraw, "multiline_text", record)
        width, height = draw().size
    assert texts, "nothing was written"
    cut = [text for text, box in texts if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]
    return [*(f"{text!r} is cut" for text in cut), *_overlapping(texts)]
