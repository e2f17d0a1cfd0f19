"""Histograms for the page, as coordinates that its template draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from equidiff.analysis.figures.captions import tolerated_deviation
from equidiff.run.invariant_set import InvariantSet

MOST_BINS = 24
COST = "An evaluation is a forward and a backward pass through generator and objective."
WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 46


@dataclass(frozen=True)
class Chart:
    """A histogram of members, in coordinates of an area `WIDTH` by `HEIGHT`, y downwards.

    Attributes:
        title: above it.
        label: of the horizontal axis, with the unit.
        note: below it; the meaning of line and band.
        bars: left, top, width, height and tooltip of each.
        x_ticks: position and text.
        y_ticks: position and text.
        line: position of the line, if there is one.
        band: left edge and width of the band, if there is one.
    """

    title: str
    label: str
    note: str
    bars: list[tuple[float, float, float, float, str]]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    line: float | None
    band: tuple[float, float] | None


def charts_of(found: InvariantSet) -> list[Chart]:
    """Histograms of the members' values, evaluations and latent lengths."""
    members = found.members
    norms = [record.latent_norm for record in members if record.latent_norm is not None]
    charts = [
        _values(found),
        histogram([record.evaluations for record in members], "Cost of the members", "evaluations", COST),
    ]
    if norms:
        charts.append(
            histogram(norms, "Norms of the latents", "|z| / √d", "Line: 1, which is typical of the prior.", 1.0)
        )
    return charts


def _values(found: InvariantSet) -> Chart:
    info, members = found.info, found.members
    if len(found.target) > 1:
        losses = [record.loss for record in members if record.loss is not None]
        return histogram(losses, "Losses of the members", "loss", "Line: the tolerance.", info.tolerance)
    target, values = float(found.target[0]), [record.shown_values[0] for record in members]
    label = f"{info.target.names[0]} ({info.target.unit})"
    source = "the target" if found.query is None else "the query's value"
    reach = tolerated_deviation(found)
    if reach is None:
        return histogram(values, "Values of the members", label, f"Line: {source}.", target)
    note = f"Line: {source}. Band: the range that the tolerance allows."
    if members[0].measurement_saved:
        note += " The values are those of the samples as saved, which may lie slightly outside."
    return histogram(values, "Values of the members", label, note, target, (target - reach, target + reach))


def histogram(
    values: Sequence[float],
    title: str,
    label: str,
    note: str,
    line: float | None = None,
    band: tuple[float, float] | None = None,
) -> Chart:
    """Count values in bins of equal width.

    Args:
        values: at least one.
        title: of the chart.
        label: of its horizontal axis.
        note: the meaning of line and band.
        line: a value to mark.
        band: a range to shade.
    """
    seen = [*values, *([] if line is None else [line]), *(band or ())]
    low, high = min(seen), max(seen)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        low, high = low - max(abs(low), 1.0) * 0.05, high + max(abs(high), 1.0) * 0.05
    ticks = _ticks(low, high, MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    bins = min(max(math.ceil(2 * math.sqrt(len(values))), 8), MOST_BINS)
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    y_ticks = _ticks(0, int(counts.max()), MaxNLocator(4, integer=True, min_n_ticks=2))
    inner, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(value: float) -> float:
        return round(LEFT + (value - low) / (high - low) * inner, 2)

    def y(count: float) -> float:
        return round(TOP + tall * (1 - count / y_ticks[-1]), 2)

    bars = [
        (x(a), y(n), round(max(x(b) - x(a) - 1, 1), 2), round(y(0) - y(n), 2), f"{a:.4g} to {b:.4g}: {n}")
        for n, a, b in zip(counts.tolist(), edges, edges[1:], strict=False)
        if n
    ]
    step = ticks[1] - ticks[0]
    digits = next((digits for digits in range(9) if abs(round(step, digits) - step) < 1e-6 * step), 9)
    return Chart(
        title,
        label,
        note,
        bars,
        [(x(tick), f"{tick:.{digits}f}" if digits < 6 else f"{tick:.3g}") for tick in ticks],
        [(y(tick), f"{tick:.0f}") for tick in y_ticks],
        None if line is None else x(line),
        None if band is None else (x(band[0]), round(x(band[1]) - x(band[0]), 2)),
    )


def _ticks(low: float, high: float, locator: MaxNLocator) -> list[float]:
    return np.asarray(locator.tick_values(low, high)).tolist()
