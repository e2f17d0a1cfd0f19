"""Figures 4.2 and 4.3 of the thesis: the query, and members beside it with their values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from equidiff.analysis.figures.captions import footnote, format_values, headline, shown_value
from equidiff.analysis.figures.grid import COLUMNS, MOST
from equidiff.analysis.figures.thesis.source import MEMBER, Source
from equidiff.images.convert import is_image, to_image
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

CELL = 1.05  # inches


def unsupported(found: InvariantSet) -> str | None:
    """Reason why this figure cannot be drawn of a run; None if it can."""
    return None if is_image(found.samples) else "its samples are not images"


def rows(found: InvariantSet) -> int:
    """Number of rows that go through generator or objective."""
    return 0


def draw(source: Source) -> Figure:
    """Draw the query on the left and members beside it; samples that are not members are only counted."""
    found = source.found
    members = found.members[:MOST]
    lines = math.ceil(len(members) / COLUMNS)
    across = math.ceil(len(members) / lines)
    wide = 0 if found.query is None else min(lines, 2)
    figure = Figure(figsize=(CELL * (across + wide) + 0.6, CELL * 1.22 * lines + 0.8), dpi=150, layout="constrained")
    layout = figure.add_gridspec(lines, across + wide)
    title, subtitle = headline(found)
    figure.suptitle(f"{title}\n{subtitle}", x=0.01, ha="left", fontsize=11)
    target = found.info.target.values
    if found.query is not None:
        axes = figure.add_subplot(layout[:wide, :wide])
        _put(axes, found.query[0], "query" + (f": {format_values(target, target)}" if len(target) == 1 else ""))
        for spine in axes.spines.values():
            spine.set(visible=True, color=MEMBER, linewidth=2)
    for position, (record, sample) in enumerate(zip(members, found.samples, strict=False)):
        line, column = divmod(position, across)
        caption = format_values(shown_value(record), target) if shown_value(record) else ""
        _put(figure.add_subplot(layout[line, wide + column]), sample, caption)
    note = footnote(found, len(members))
    if note:
        figure.supxlabel(note, x=0.01, ha="left", fontsize=9)
    return figure


def _put(axes: Axes, sample: Tensor, caption: str) -> None:
    image = to_image(sample)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if max(image.size) < 128 else "auto")
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(caption, fontsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)
