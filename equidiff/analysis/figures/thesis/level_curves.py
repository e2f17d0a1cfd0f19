"""Figure 3.1 of the thesis: in the plane, the members lie on the query's level curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equidiff.analysis.figures.captions import footnote, headline
from equidiff.analysis.figures.contour_plot import plot_contours
from equidiff.analysis.figures.thesis.source import Source
from equidiff.contracts.sample_kind import CONTOUR
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def unsupported(found: InvariantSet) -> str | None:
    """Reason why this figure cannot be drawn of a run; None if it can."""
    return None if found.kind.overview(found.sample_shape) == CONTOUR else "its samples are not points in the plane"


def rows(found: InvariantSet) -> int:
    """Number of rows to count for a progress bar: the plot is quick."""
    return 0


def draw(source: Source) -> Figure:
    """Draw the objective's values as colours, the level curve of the target, and the members."""
    found = source.found
    measure = source.parts.problem.objective.measure
    note = footnote(found, len(found))
    return plot_contours(found, lambda points: measure(points.to(source.parts.device)), headline(found), note)
