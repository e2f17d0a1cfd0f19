"""Figure 3.1 of the thesis: in the plane, the members lie on the query's level curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equidiff.analysis.figures.overview import footnote, headline
from equidiff.analysis.figures.plane import plot_plane
from equidiff.analysis.figures.source import Source
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def unfit(found: InvariantSet) -> str | None:
    """Why it cannot be drawn of this run; None where it can."""
    return None if found.samples.shape[1:] == (2,) else "its samples are no points in the plane"


def rows(found: InvariantSet) -> int:
    """Rows that go through generator or objective, as far as they are counted."""
    return 0


def draw(source: Source) -> Figure:
    """The objective's values as a map, the level curve of the target, and the members."""
    found = source.found
    figure = plot_plane(
        found, lambda points: source.parts.problem.objective.measure(points.to(source.parts.device)), headline(found)
    )
    note = footnote(found, len(found))
    figure.axes[0].set(xlabel="first coordinate" + f"\n{note}" * bool(note), ylabel="second coordinate")
    return figure
