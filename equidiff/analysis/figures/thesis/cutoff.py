"""Figure 4.5 of the thesis: the measurement without high frequencies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.figure import Figure

from equidiff.analysis.figures.layout import fold
from equidiff.analysis.figures.thesis.source import MEMBER, QUERY, TARGET, Source, unit_label
from equidiff.analysis.limits import DRAWN
from equidiff.analysis.subsample import draw_members
from equidiff.builtin.regularizers.lowpass import LowPass
from equidiff.metrics.spectral import CUTOFFS, cutoff_curve
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from torch import Tensor

WIDTH = 6.8  # inches
TITLE = 11  # points


def unsupported(found: InvariantSet) -> str | None:
    """Reason why this figure cannot be drawn of a run; None if it can."""
    return None if found.kind.is_image else "its samples are not images"


def rows(found: InvariantSet) -> int:
    """Number of rows that go through generator or objective."""
    return min(len(found), DRAWN) + (found.query is not None)


def draw(source: Source) -> Figure:
    """Draw the measurement of low-passed images against the cut-off: the query, and the members with their spread.

    Several outputs are drawn as their distance from the target. Of a run with very many members, some are drawn.
    """
    found, problem = draw_members(source.found, DRAWN), source.parts.problem
    samples = found.samples if source.query is None else torch.cat([source.query, found.samples])
    curves = source.apply(lambda rows: cutoff_curve(problem, rows), samples, "filtering", axis=1)
    values, level, label = _plotted(curves, found)
    query, members = (None, values) if source.query is None else (values[:, 0], values[:, 1:])
    figure = Figure(figsize=(WIDTH, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot(xlabel="cut-off of the low-pass filter / Nyquist frequency", ylabel=label)
    axes.plot([], [], color=MEMBER, alpha=0.4, lw=0.8, label="each member")
    for curve in members.T:
        axes.plot(CUTOFFS, curve, color=MEMBER, lw=0.6, alpha=0.3)
    if members.shape[1] > 1:
        low, high = np.quantile(members, (0.1, 0.9), axis=1)
        axes.fill_between(CUTOFFS, low, high, color=MEMBER, alpha=0.22, lw=0, label="members, 10 to 90 %")
    axes.plot(CUTOFFS, members.mean(axis=1), "o-", color=MEMBER, markersize=4, label="members, mean")
    if query is not None:
        axes.plot(CUTOFFS, query, "s--", color=QUERY, markersize=4, label="query")
    axes.axhline(level, color=TARGET, ls=":", label="target")
    if isinstance(problem.regularizer, LowPass):
        axes.axvline(problem.regularizer.cutoff, color=TARGET, lw=0.9, label="cut-off of the run's own filter")
    axes.set_xticks(CUTOFFS)
    figure.legend(loc="outside lower left", ncols=2, frameon=False)
    title = f"{source.title}, without high frequencies{source.part(found)}"
    axes.set_title(fold(title, WIDTH - 1, TITLE))
    return figure


def _plotted(curves: Tensor, found: InvariantSet) -> tuple[np.ndarray, float, str]:
    """Values to plot `[cutoffs, rows]`, from `[cutoffs, rows, m]`, with the level of the target and the axis label."""
    if len(found.target) == 1:
        return curves[:, :, 0].numpy(), float(found.target[0]), unit_label(found)
    return (curves - found.target).norm(dim=2).numpy(), 0.0, f"distance from the target ({unit_label(found)})"
