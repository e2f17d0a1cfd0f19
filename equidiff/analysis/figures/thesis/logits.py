"""Figure 4.1 of the thesis: the query's outputs, and the members' outputs beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from equidiff.analysis.figures.captions import tolerated_deviation
from equidiff.analysis.figures.thesis.source import MEMBER, QUERY, TARGET, Source, unit_label
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

NAMED = 24  # outputs; up to this many, all are shown by name
STRONGEST = 10  # outputs shown by name if there are more
LONGEST = 28  # letters of a name


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
        figure = Figure(figsize=(6.4, 1.4 + 0.28 * outputs), dpi=150, layout="constrained")
        _named(figure.add_subplot(), source, named)
    else:
        figure = Figure(figsize=(11, 4.2), dpi=150, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        _lines(left, source)
        named.sort(key=lambda output: -float(found.target[output]))
        _named(right, source, named[:STRONGEST])
        right.set_title(f"the {STRONGEST} highest of the {source.target_name}")
    figure.suptitle(f"{source.title}: {len(found)} members", x=0.01, ha="left", fontsize=11)
    return figure


def _distribution(source: Source) -> Figure:
    found = source.found
    figure = Figure(figsize=(6.4, 3.8), dpi=150, layout="constrained")
    axes = figure.add_subplot(xlabel=unit_label(found), ylabel="members")
    values, target, reach = found.measurements[:, 0].numpy(), float(found.target[0]), tolerated_deviation(found)
    if reach is not None:
        axes.axvspan(target - reach, target + reach, color=TARGET, alpha=0.15, lw=0, label="allowed by the tolerance")
    bins = min(max(math.ceil(2 * math.sqrt(len(values))), 6), 24)
    axes.hist(values, bins=bins, color=MEMBER, edgecolor="white", linewidth=0.6, label="members")
    axes.axvline(target, color=QUERY, linestyle="--", label=source.target_name)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.ticklabel_format(axis="x", useOffset=False)
    # beside the plot: inside, it would hide a bar sooner or later
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.set_title(f"{source.title}: {len(found)} members")
    return figure


def _named(axes: Axes, source: Source, outputs: Sequence[int]) -> None:
    """Draw a line for each output, from the top: the query's value, and every member's."""
    found = source.found
    names = [_short(found.info.target.names[output]) for output in outputs]
    places = list(range(len(outputs)))
    values, target = found.measurements[:, list(outputs)].numpy(), found.target[list(outputs)].numpy()
    for row in values:
        axes.plot(row, places, "o", color=MEMBER, alpha=max(0.15, 1 / math.sqrt(len(values))), markersize=5, mew=0)
    axes.plot([], [], "o", color=MEMBER, label="members", markersize=5, mew=0)
    axes.plot(target, places, "|", color=QUERY, markersize=15, mew=2, label=source.target_name)
    axes.set(yticks=places, yticklabels=names, xlabel=unit_label(found))
    axes.set_ylim(len(outputs) - 0.4, -0.6)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _lines(axes: Axes, source: Source) -> None:
    """Draw all outputs along an axis: the query's, the members' mean, and their range."""
    found = source.found
    values, places = found.measurements.numpy(), list(range(len(found.target)))
    axes.fill_between(
        places,
        values.min(axis=0),
        values.max(axis=0),
        color=MEMBER,
        alpha=0.3,
        lw=0,
        label="members, lowest to highest",
    )
    axes.plot(places, values.mean(axis=0), color=MEMBER, lw=1, label="members, mean")
    axes.plot(places, found.target.numpy(), color=QUERY, lw=1, ls="--", label=source.target_name)
    axes.set(xlabel="output", ylabel=unit_label(found), title="all outputs")
    axes.margins(x=0.01)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
