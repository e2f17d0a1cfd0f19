"""Figures 4.2 and 4.3 of the thesis: the query, and members beside it with their values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from equidiff.analysis.figures.captions import footnote, format_values, headline
from equidiff.analysis.figures.grid import COLUMNS, MOST
from equidiff.analysis.figures.layout import EDGE, Sheet, fold, lines_height, text_width
from equidiff.analysis.figures.thesis.source import MEMBER, Source
from equidiff.analysis.subsample import first_members
from equidiff.contracts.sample_kind import SHEET
from equidiff.images.convert import to_image
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image
    from torch import Tensor

CELL, GAP, CAPTION = 1.05, 0.08, 0.28  # inches: the longer side of a member, between members, and below each
NARROWEST = 4.0  # inches
TILE = 256  # pixels of a sound
TITLE, SMALL = 11, 9  # points


def unsupported(found: InvariantSet) -> str | None:
    """Reason why this figure cannot be drawn of a run; None if it can."""
    return None if found.kind.overview(found.sample_shape) == SHEET else f"{found.kind.plural} are not drawn one by one"


def rows(found: InvariantSet) -> int:
    """Number of rows that go through generator or objective."""
    return 0


def draw(source: Source) -> Figure:
    """Draw the query on the left and members beside it; samples that are not members are only counted."""
    found = source.found
    shown = first_members(found, MOST)
    members = shown.members
    lines = math.ceil(len(members) / COLUMNS)
    across = math.ceil(len(members) / lines)
    titles, note, target = headline(found), footnote(found, len(members)), found.info.target.values
    height, width = found.sample_shape[1:] if found.kind.is_image else (TILE, TILE)
    size = CELL * width / max(height, width), CELL * height / max(height, width)
    captions = [format_values(each.shown_values, target) if each.shown_values else "" for each in members]
    own = "query" + (f": {format_values(target, target)}" if len(target) == 1 else "")
    side = 0 if found.query is None else min(lines, 2)  # of the query, in members
    # a caption may be wider than a narrow image
    captioned = max(text_width(each, SMALL) + GAP for each in (*captions, own if side == 1 else ""))
    step = max(size[0], captioned) + GAP, size[1] + CAPTION
    large = max(side * step[0] - GAP, text_width(own, SMALL) + GAP), size[1] + (side - 1) * step[1]
    left = EDGE + (large[0] + GAP if side else 0)
    whole = max(left + across * step[0] - GAP + EDGE, NARROWEST)
    title, subtitle = (
        fold(each, whole - 2 * EDGE, points) for each, points in zip(titles, (TITLE, SMALL), strict=True)
    )
    note = fold(note, whole - 2 * EDGE, SMALL)
    below = EDGE + lines_height(title, TITLE)
    top = below + lines_height(subtitle, SMALL) + 2 * EDGE
    sheet = Sheet(whole, top + lines * step[1] + lines_height(note, SMALL) + EDGE, dpi=150)
    sheet.text(EDGE, EDGE, title, TITLE)
    sheet.text(EDGE, below, subtitle, SMALL, "dimgrey")
    sheet.text(EDGE, top + lines * step[1], note, SMALL, "dimgrey")
    if found.query is not None:
        axes = sheet.axes(EDGE, top, *large)
        axes.set_anchor("N")  # level with the first row
        _put(axes, _drawn(found, found.query[0]), own)
        for spine in axes.spines.values():
            spine.set(visible=True, color=MEMBER, linewidth=2)
    for position, (caption, sample) in enumerate(zip(captions, shown.samples, strict=True)):
        line, column = divmod(position, across)
        axes = sheet.axes(left + column * step[0], top + line * step[1], step[0] - GAP, size[1])
        _put(axes, _drawn(found, sample), caption)
    return sheet.figure


def _drawn(found: InvariantSet, sample: Tensor) -> Image:
    if found.kind.is_image:
        return to_image(sample)
    tile = found.kind.tile(sample, TILE)
    assert tile is not None  # kinds that are drawn on a sheet have tiles
    return tile


def _put(axes: Axes, image: Image, caption: str) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if max(image.size) < 128 else "auto")
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(caption, fontsize=SMALL, labelpad=3)
    for spine in axes.spines.values():
        spine.set_visible(False)
