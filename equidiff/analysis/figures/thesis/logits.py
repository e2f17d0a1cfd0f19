"""Figure 4.1 of the thesis: the query's outputs, and the members' outputs beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from equidiff.analysis.figures.captions import tolerated_deviation
from equidiff.analysis.figures.layout import EDGE, fold
from equidiff.analysis.figures.thesis.source import MEMBER, QUERY, TARGET, Source, unit_label
from equidiff.analysis.limits import DRAWN
from equidiff.analysis.subsample import BLOCK, draw_members, row_blocks
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

NAMED = 24  # outputs; up to this many, all are shown by name
STRONGEST = 10  # outputs shown by name if there are more
LONGEST = 28  # letters of a name
WIDTH = 6.4  # inches
TITLE = 11  # points


def unsupported(found: InvariantSet) -> str | None:
    """Reason why this figure cannot be drawn of a run; None if it can."""
    return None


def rows(found: InvariantSet) -> int:
    """Number of rows that go through generator or objective."""
    return 0


def draw(source: Source) -> Figure:
    """Draw a histogram of the members' values; for several outputs, each output of the query and of the members."""
    found = source.found
    outputs = len(found.target)
    if outputs == 1:
        return _distribution(source)
    named = list(range(outputs))
    if outputs <= NAMED:
        figure = Figure(figsize=(WIDTH, 1.7 + 0.28 * outputs), dpi=150, layout="constrained")
        _draw_named(figure, source, named)
    else:
        figure = Figure(figsize=(11, 4.8), dpi=150, layout="constrained")
        ((left, right),) = figure.subfigures(1, 2, squeeze=False, width_ratios=(4, 3))
        _draw_lines(left, source)
        named.sort(key=lambda output: -float(found.target[output]))
        axes = _draw_named(right, source, named[:STRONGEST])
        axes.set_title(f"the {STRONGEST} highest of the {source.target_name}")
    title = fold(f"{source.title}: {len(found)} members", figure.get_figwidth() - 2 * EDGE, TITLE)
    figure.suptitle(title, x=0.01, ha="left", fontsize=TITLE)
    return figure


def _distribution(source: Source) -> Figure:
    found = source.found
    figure = Figure(figsize=(WIDTH, 4.2), dpi=150, layout="constrained")
    axes = figure.add_subplot(xlabel=unit_label(found), ylabel="members")
    values, target, reach = found.measurements[:, 0].numpy(), float(found.target[0]), tolerated_deviation(found)
    if reach is not None:
        axes.axvspan(target - reach, target + reach, color=TARGET, alpha=0.15, lw=0, label="allowed by the tolerance")
    axes.hist(values, bins=_bins(values), color=MEMBER, edgecolor="white", linewidth=0.6, label="members")
    axes.axvline(target, color=QUERY, linestyle="--", label=source.target_name)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.ticklabel_format(axis="x", useOffset=False)
    # below the plot: inside, it would hide a bar sooner or later
    figure.legend(loc="outside lower left", ncols=3, frameon=False)
    axes.set_title(fold(f"{source.title}: {len(found)} members", WIDTH - 1, TITLE))
    return figure


def _bins(values: np.ndarray) -> list[float]:
    """Edges of bins of equal width; float32 may not tell the values of large outputs apart."""
    low, high = float(values.min()), float(values.max())
    spare = max(1e-6 * max(abs(low), abs(high)) - (high - low), 1e-12 * (high == low))
    count = min(max(math.ceil(2 * math.sqrt(len(values))), 6), 24)
    return np.linspace(low - max(spare, 0) / 2, high + max(spare, 0) / 2, count + 1).tolist()


def _draw_named(part: FigureBase, source: Source, outputs: Sequence[int]) -> Axes:
    """Draw a line for each output, from the top: the query's value, and every member's."""
    found = draw_members(source.found, DRAWN)
    names = [_short(found.info.target.names[output]) for output in outputs]
    places = list(range(len(outputs)))
    values, target = found.measurements[:, list(outputs)].numpy(), found.target[list(outputs)].numpy()
    axes = part.add_subplot(yticks=places, yticklabels=names, xlabel=unit_label(found))
    style = {"color": MEMBER, "markersize": 5, "mew": 0}
    for row in values:
        axes.plot(row, places, "o", alpha=max(0.15, 1 / math.sqrt(len(values))), zorder=3, **style)
    axes.plot([], [], "o", label=f"members{source.part(found)}", **style)
    axes.plot(target, places, "|", color=QUERY, markersize=17, mew=1.5, label=source.target_name)
    axes.set_ylim(len(outputs) - 0.4, -0.6)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    part.legend(loc="outside lower left", ncols=2, frameon=False)
    return axes


def _draw_lines(part: FigureBase, source: Source) -> None:
    """Draw all outputs along an axis: the query's, the members' mean, and their range."""
    found = source.found
    places = list(range(len(found.target)))
    blocks = [
        (block.amin(dim=0), block.amax(dim=0), block.sum(dim=0)) for block in row_blocks(found, "measurements", BLOCK)
    ]
    lows, highs, sums = (torch.stack(each) for each in zip(*blocks, strict=True))
    axes = part.add_subplot(xlabel="output", ylabel=unit_label(found), title="all outputs")
    axes.fill_between(
        places,
        lows.amin(dim=0).numpy(),
        highs.amax(dim=0).numpy(),
        color=MEMBER,
        alpha=0.3,
        lw=0,
        label="members, lowest to highest",
    )
    axes.plot(places, (sums.sum(dim=0) / len(found)).numpy(), color=MEMBER, lw=1, label="members, mean")
    axes.plot(places, found.target.numpy(), color=QUERY, lw=1, ls="--", label=source.target_name)
    axes.margins(x=0.01)
    part.legend(loc="outside lower left", ncols=3, frameon=False)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
