"""Parallel coordinates: an axis for each number of a sample, a line for each member, prior sample and the query."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from equidiff.analysis.figures.contour_plot import SMALL, TITLE, Highlight
from equidiff.analysis.figures.layout import EDGE, Sheet, fold, lines_height, render
from equidiff.analysis.prior_samples import prior_samples
from equidiff.folders.text import printable
from equidiff.images.canvas import ACCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from equidiff.contracts import SampleKind
    from equidiff.run.invariant_set import InvariantSet

STEP, NARROWEST, WIDEST, PLOT = 0.95, 5.5, 14.0, 3.4  # inches: between axes, of all axes, and their height
SIDE, LEGEND = 0.75, 0.45
MOST_NAMED = 24  # axes; of more, none has a line or a name
LONGEST = 18  # letters of a name
MOST_PRIOR = 200
BEYOND = 0.25  # of the range of an axis, to which lines are drawn on both sides
TICKS = 8  # points
GREY, BLUE = "#8c959f", "#0072b2"


@dataclass(frozen=True)
class Layer:
    """Lines of one colour.

    Attributes:
        label: in the legend.
        samples: `[lines, *sample_shape]`.
        colour: of the lines; None for a path, from dark to bright.
        width: of a line, in points.
        alpha: its opacity; less where there are many.
    """

    label: str
    samples: Tensor
    colour: str | None
    width: float = 1.0
    alpha: float = 1.0


def draw_parallel(
    found: InvariantSet, titles: tuple[str, str], note: str = "", highlight: Highlight | None = None
) -> Image.Image:
    """Draw the members as lines over parallel axes, in front of prior samples, and the query.

    Args:
        found: samples of any shape; their numbers are drawn in order.
        titles: title and subtitle, above the plot.
        note: a note below it.
        highlight: samples that stand out; of a path they are its frames, from dark to bright.
    """
    faint = 0.4 if highlight is not None and not highlight.joined else 1.0
    layers = [
        Layer("prior samples", prior_samples(found)[:MOST_PRIOR], GREY, 0.7, 0.45),
        Layer("members", found.samples, ACCENT, 1.0, faint * max(0.25, min(0.9, 20 / max(len(found), 1)))),
    ]
    if highlight is not None:
        layers.append(Layer(highlight.name, highlight.points, None if highlight.joined else BLUE, 1.6))
    if found.query is not None:
        layers.append(Layer("query", found.query, "black", 2.2))
    return draw_lines(found.kind, layers, titles, note)


def draw_lines(kind: SampleKind, layers: Sequence[Layer], titles: tuple[str, str], note: str = "") -> Image.Image:
    """Draw samples of a kind as lines over parallel axes, those of the last layer in front."""
    shape = layers[-1].samples.shape[1:]
    width = min(max(STEP * (math.prod(shape) - 1), NARROWEST), WIDEST) + 2 * SIDE
    texts = zip((*titles, note), (TITLE, SMALL, SMALL), strict=True)
    title, subtitle, note = (fold(text, width - 2 * EDGE, points) for text, points in texts)
    below = EDGE + lines_height(title, TITLE)
    top = below + lines_height(subtitle, SMALL) + 3 * EDGE + 2 * lines_height("x", TICKS)
    bottom = top + PLOT + 2 * EDGE + lines_height("x", TICKS)
    legend = bottom + lines_height(note, SMALL) + EDGE * bool(note)
    sheet = Sheet(width, legend + LEGEND, dpi=130)
    sheet.text(EDGE, EDGE, title, TITLE)
    sheet.text(EDGE, below, subtitle, SMALL, "dimgrey")
    sheet.text(EDGE, bottom, note, SMALL, "dimgrey")
    axes = sheet.axes(SIDE, top, width - 2 * SIDE, PLOT)
    low, high = (end.flatten() for end in kind.ranges(torch.cat([layer.samples for layer in layers])))
    span, beyond = (high - low).clamp(min=1e-12), 0.02
    for layer in layers:
        lines = ((layer.samples.flatten(1) - low) / span).clamp(-BEYOND, 1 + BEYOND)
        if len(lines):
            beyond = max(beyond, float((lines - lines.clamp(0, 1)).abs().max()))
            _draw_lines(axes, lines, layer)
    _draw_axes(axes, [printable(name) for name in kind.names(shape)], (low, high), beyond)
    place = (EDGE / width, 1 - legend / sheet.height)
    style = {"ncols": 4, "fontsize": SMALL, "frameon": False, "borderaxespad": 0, "borderpad": 0}
    sheet.figure.legend(loc="upper left", bbox_to_anchor=place, **style)
    return render(sheet.figure)


def _draw_lines(axes: Axes, lines: Tensor, layer: Layer) -> None:
    from matplotlib import colormaps

    places = list(range(lines.shape[1])) if lines.shape[1] > 1 else [-0.3, 0.3]
    for number, line in enumerate(lines.tolist()):
        colour = layer.colour or colormaps["viridis"](0.05 + 0.85 * number / max(len(lines) - 1, 1))
        label = layer.label if number == 0 else None
        heights = line if len(line) > 1 else line * 2
        axes.plot(places, heights, color=colour, lw=layer.width, alpha=layer.alpha, label=label)


def _draw_axes(axes: Axes, names: list[str], ends: tuple[Tensor, Tensor], beyond: float) -> None:
    """Draw an axis for each number, with its name and the ends of its range where there is room.

    Args:
        axes: of the whole plot.
        names: of the axes; without any, they are numbered.
        ends: the lower and the upper end of each.
        beyond: share of an axis to which lines go beyond its ends.
    """
    low, high = ends
    size, unit = len(low), (1 + 2 * beyond) / PLOT  # one inch
    axes.set(xlim=(-0.5, 0.5) if size == 1 else (-0.05, size - 0.95), ylim=(-beyond, 1 + beyond), yticks=[], xticks=[])
    axes.spines[:].set_visible(False)
    if size > MOST_NAMED:
        axes.set_xlabel(f"{size} numbers, in their order", fontsize=SMALL)
        return
    for place in range(size):
        axes.plot([place, place], [0, 1], color="#57606a", lw=0.8, zorder=0)
        text = {"fontsize": TICKS, "ha": "center", "parse_math": False, "clip_on": False}
        name = names[place] if names else str(place + 1)
        shown = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
        axes.text(place, 1 + beyond + 0.22 * unit, shown, va="bottom", **text)
        axes.text(place, 1 + beyond + 0.06 * unit, f"{float(high[place]):.4g}", va="bottom", color="dimgrey", **text)
        axes.text(place, -beyond - 0.06 * unit, f"{float(low[place]):.4g}", va="top", color="dimgrey", **text)
