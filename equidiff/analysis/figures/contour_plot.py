"""Contour plot of the objective over the plane, with the query and the members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from equidiff.analysis.figures.captions import tolerated_deviation
from equidiff.analysis.figures.colours import UNSIGNED
from equidiff.analysis.figures.layout import EDGE, Sheet, fold, lines_height, render
from equidiff.images.canvas import ACCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from equidiff.run.invariant_set import InvariantSet

RESOLUTION = 240
CHUNK = 4096
CROWD = 1000  # members; more are drawn as smaller dots
PLOT, LEFT, RIGHT = 4.7, 0.85, 1.0  # inches: the plane, and room on both sides
LABELS, LEGEND = 0.55, 0.6  # inches below the plane
TITLE, SMALL = 13, 10  # points
Measure = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Highlight:
    """Points that stand out from the others.

    Attributes:
        name: label in the legend.
        points: `[points, 2]`.
        joined: connect them by a line.
        breaks: numbers of the points after which the line is broken.
    """

    name: str
    points: Tensor
    joined: bool = False
    breaks: tuple[int, ...] = ()


def draw_contour_plot(
    found: InvariantSet, measure: Measure, titles: tuple[str, str], note: str, highlight: Highlight | None = None
) -> Image.Image:
    """Draw the contour plot as an image; see `plot_contours`."""
    return render(plot_contours(found, measure, titles, note, highlight))


def plot_contours(
    found: InvariantSet,
    measure: Measure,
    titles: tuple[str, str],
    note: str = "",
    highlight: Highlight | None = None,
) -> Figure:
    """Draw the contour plot as a figure.

    Args:
        found: members in the plane.
        measure: the objective; colours show its value, or the distance to the target if it has several outputs.
        titles: title and subtitle, above the plot.
        note: a note below it.
        highlight: points that stand out.
    """
    x, y, values = _evaluate_plane(found, measure)
    width = LEFT + PLOT + RIGHT
    title, subtitle, note = (
        fold(text, width - 2 * EDGE, points)
        for text, points in zip((*titles, note), (TITLE, SMALL, SMALL), strict=True)
    )
    below = EDGE + lines_height(title, TITLE)
    top = below + lines_height(subtitle, SMALL) + EDGE
    bottom = top + PLOT + LABELS
    legend = bottom + lines_height(note, SMALL) + EDGE * bool(note)
    sheet = Sheet(width, legend + LEGEND, dpi=150)
    figure = sheet.figure
    sheet.text(EDGE, EDGE, title, TITLE)
    sheet.text(EDGE, below, subtitle, SMALL, "dimgrey")
    sheet.text(EDGE, bottom, note, SMALL, "dimgrey")
    axes = sheet.axes(LEFT, top, PLOT, PLOT)
    axes.set(xlabel="first coordinate", ylabel="second coordinate")
    axes.locator_params(nbins=7)
    target = found.info.target
    single = len(target.values) == 1
    shades = axes.pcolormesh(x, y, values, cmap=UNSIGNED, rasterized=True)
    bar = sheet.axes(LEFT + PLOT + 0.2, top + 0.1 * PLOT, 0.18, 0.8 * PLOT)
    figure.colorbar(shades, cax=bar, label=target.unit if single else f"distance to the target ({target.unit})")
    if single and values.min() < target.values[0] < values.max():
        _draw_curves(axes, (x, y, values), target.values[0], tolerated_deviation(found))
    _draw_members(axes, found.samples.numpy())
    if highlight is not None:
        style = {"color": "#56b4e9", "marker": "o", "ms": 5.5, "mec": "black", "mew": 0.7, "lw": 1.6 * highlight.joined}
        points = np.insert(highlight.points.numpy(), [place + 1 for place in highlight.breaks], np.nan, axis=0)
        axes.plot(*points.T, **style, label=highlight.name, zorder=3)
    if found.query is not None:
        style = {"marker": "*", "s": 230, "c": "white", "edgecolors": "black", "linewidths": 0.9}
        axes.scatter(*found.query[0].tolist(), **style, label="query", zorder=3)
    # below the plot: inside, it would hide members sooner or later
    place = (EDGE / width, 1 - legend / sheet.height)
    style = {"ncols": 3, "fontsize": SMALL, "frameon": False, "borderaxespad": 0, "borderpad": 0}
    figure.legend(loc="upper left", bbox_to_anchor=place, **style)
    return figure


def _draw_members(axes: Axes, points: np.ndarray) -> None:
    """Draw a dot for each member; those of a crowd are smaller, so that they are no blot."""
    style = {"s": 26, "c": ACCENT, "edgecolors": "white", "linewidths": 0.7}
    if len(points) <= CROWD:
        axes.scatter(*points.T, **style, label="members")
        return
    size = max(style["s"] * CROWD / len(points), 1)
    axes.scatter(*points.T, s=size, c=ACCENT, linewidths=0, rasterized=True)
    axes.scatter([], [], **style, label="members")


def _draw_curves(
    axes: Axes, plane: tuple[np.ndarray, np.ndarray, np.ndarray], target: float, reach: float | None
) -> None:
    """Draw the level curve of the target and, dotted, those of the values that the tolerance just allows."""
    from matplotlib.patheffects import withStroke

    # black around white is seen on every colour of the map
    lines = [("-", 1.4, [target], "level curve of the target")]
    if reach is not None:
        lines.append((":", 1.2, [target - reach, target + reach], "as far as the tolerance allows"))
    for style, width, levels, label in lines:
        curve = axes.contour(*plane, levels=levels, colors="white", linewidths=width, linestyles=style)
        curve.set_path_effects([withStroke(linewidth=width + 1.2, foreground="black")])
        effects = [withStroke(linewidth=width + 1.2, foreground="black")]
        axes.plot([], [], color="white", lw=width, ls=style, label=label, path_effects=effects)


@torch.no_grad()
def _evaluate_plane(found: InvariantSet, measure: Measure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points = found.samples if found.query is None else torch.cat([found.samples, found.query])
    reach = max(1.15 * float(points.abs().max()), 0.1)
    axis = torch.linspace(-reach, reach, RESOLUTION)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([x, y], dim=-1).reshape(-1, 2)
    values = torch.cat([measure(chunk).float().cpu() for chunk in grid.split(CHUNK)])
    single = len(found.target) == 1
    shown = values[:, 0] if single else (values - found.target).norm(dim=1)
    return axis.numpy(), axis.numpy(), shown.reshape(x.shape).numpy()
