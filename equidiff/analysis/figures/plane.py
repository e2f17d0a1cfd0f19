"""A map of the objective over the plane, with the query and the members on it."""

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
class Marked:
    """Points of the map that stand out.

    Attributes:
        name: in the legend.
        points: `[points, 2]`.
        joined: whether a line leads through them.
    """

    name: str
    points: Tensor
    joined: bool = False


def draw_plane(
    found: InvariantSet, measure: Measure, titles: tuple[str, str], note: str, marked: Marked | None = None
) -> Image.Image:
    """The map as a picture; see `plot_plane`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(plot_plane(found, measure, titles, note, marked))
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def plot_plane(
    found: InvariantSet,
    measure: Measure,
    titles: tuple[str, str],
    note: str = "",
    marked: Marked | None = None,
) -> Figure:
    """Draw the map.

    Args:
        found: members in the plane.
        measure: the objective; its value colours the map; the distance to the target, where it has several outputs.
        titles: above the map, a larger and a smaller one.
        note: below it.
        marked: points to be seen before all others.
    """
    # the object API: pyplot would keep state and may want a display
    from matplotlib.figure import Figure

    x, y, values = _map(found, measure)
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
    if marked is not None:
        style = {"color": "#56b4e9", "marker": "o", "ms": 5.5, "mec": "black", "mew": 0.7, "lw": 1.6 * marked.joined}
        axes.plot(*marked.points.T.numpy(), **style, label=marked.name, zorder=3)
    if found.query is not None:
        style = {"marker": "*", "s": 230, "c": "white", "edgecolors": "black", "linewidths": 0.9}
        axes.scatter(*found.query[0].tolist(), **style, label="query", zorder=3)
    axes.legend(loc="upper right", fontsize=9)
    return figure


@torch.no_grad()
def _map(found: InvariantSet, measure: Measure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    points = found.samples if found.query is None else torch.cat([found.samples, found.query])
    reach = max(1.15 * float(points.abs().max()), 0.1)
    axis = torch.linspace(-reach, reach, RESOLUTION)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([x, y], dim=-1).reshape(-1, 2)
    values = torch.cat([measure(chunk).float().cpu() for chunk in grid.split(CHUNK)])
    single = len(found.target) == 1
    shown = values[:, 0] if single else (values - found.target).norm(dim=1)
    return axis.numpy(), axis.numpy(), shown.reshape(x.shape).numpy()
