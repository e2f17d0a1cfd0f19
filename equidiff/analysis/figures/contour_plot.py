"""Contour plot of the objective over the plane, with the query and the members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from equidiff.run.invariant_set import InvariantSet

RESOLUTION = 240
CHUNK = 4096
Measure = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Highlight:
    """Points that stand out from the others.

    Attributes:
        name: label in the legend.
        points: `[points, 2]`.
        joined: connect them by a line.
    """

    name: str
    points: Tensor
    joined: bool = False


def draw_contour_plot(
    found: InvariantSet, measure: Measure, titles: tuple[str, str], note: str, highlight: Highlight | None = None
) -> Image.Image:
    """Draw the contour plot as an image; see `plot_contours`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(plot_contours(found, measure, titles, note, highlight))
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


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
    # the object API: pyplot would keep state and may want a display
    from matplotlib.figure import Figure

    x, y, values = _evaluate_plane(found, measure)
    figure = Figure(figsize=(6.4, 5.8), dpi=150, layout="constrained")
    axes = figure.add_subplot(xlabel=note, aspect="equal")
    axes.set_title(titles[0], fontsize=13, loc="left", pad=22)
    axes.text(0, 1.02, titles[1], fontsize=10, color="dimgrey", transform=axes.transAxes)
    target = found.info.target
    single = len(target.values) == 1
    shades = axes.pcolormesh(x, y, values, cmap="cividis", rasterized=True)
    figure.colorbar(shades, label=target.unit if single else f"distance to the target ({target.unit})", shrink=0.8)
    if single and values.min() < target.values[0] < values.max():
        axes.contour(x, y, values, levels=target.values, colors="white", linewidths=1.2)
    members = found.samples.numpy()
    axes.scatter(members[:, 0], members[:, 1], s=26, c="#c2410c", edgecolors="white", linewidths=0.7, label="members")
    if highlight is not None:
        style = {"color": "#56b4e9", "marker": "o", "ms": 5.5, "mec": "black", "mew": 0.7, "lw": 1.6 * highlight.joined}
        axes.plot(*highlight.points.T.numpy(), **style, label=highlight.name, zorder=3)
    if found.query is not None:
        style = {"marker": "*", "s": 230, "c": "white", "edgecolors": "black", "linewidths": 0.9}
        axes.scatter(*found.query[0].tolist(), **style, label="query", zorder=3)
    axes.legend(loc="upper right", fontsize=9)
    return figure


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
