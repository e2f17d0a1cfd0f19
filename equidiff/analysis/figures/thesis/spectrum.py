"""Figure 4.4 of the thesis: the spectra of the query, of members, and of prior samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from equidiff.analysis.figures.colours import SIGNED
from equidiff.analysis.figures.layout import EDGE, Sheet, fold, lines_height
from equidiff.analysis.figures.thesis.source import MEMBER, PRIOR, QUERY, Source
from equidiff.analysis.subsample import first_members
from equidiff.metrics.spectral import ROUNDING, mean_log_spectrum, radial_frequencies, radial_spectrum
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

MOST = 64  # members, and prior samples
SMALLEST = 4  # pixels a side
PANEL, GAP, LEFT, RIGHT = 2.0, 0.3, 0.75, 0.2  # inches: a map, between maps, and on both sides
BELOW = 1.5  # inches for the labels and colour bars below the maps
CURVE = 2.6, 0.95  # inches: the curves, and labels and legend below them
TITLE, SMALL = 11, 9  # points
PLACE: dict[str, Any] = {"extent": (-1, 1, 1, -1), "interpolation": "nearest"}


def unsupported(found: InvariantSet) -> str | None:
    """Reason why this figure cannot be drawn of a run; None if it can."""
    if not found.kind.is_image:
        return "its samples are not images"
    return "its images are too small" if min(found.sample_shape[1:]) < SMALLEST else None


def rows(found: InvariantSet) -> int:
    """Number of rows that go through generator or objective."""
    return min(len(found), MOST)


def draw(source: Source) -> Figure:
    """Draw mean log spectra as images on one scale, their difference, and the power by radius.

    There are as many prior samples as members, from the same generator; both are at most `MOST`, from the first.
    """
    members = first_members(source.found, MOST).samples
    generator = source.parts.problem.generator
    latents = prior_latents(generator, len(members), source.found.info.seed, Stream.CONTROL)
    prior = source.apply(generator.generate, latents, "drawing prior samples")
    sets = {f"{len(members)} members": members, f"{len(prior)} prior samples": prior}
    if source.query is not None:
        sets = {"query": source.query, **sets}
    maps = {name: mean_log_spectrum(samples) for name, samples in sets.items()}
    inside = (len(maps) + 1) * PANEL + len(maps) * GAP
    title = fold(f"{source.title}: power spectra of the images", LEFT + inside, TITLE)
    top = EDGE + lines_height(title, TITLE) + 0.45
    curve = top + PANEL + BELOW
    sheet = Sheet(LEFT + inside + RIGHT, curve + CURVE[0] + CURVE[1], dpi=150)
    sheet.text(EDGE, EDGE, title, TITLE)
    _draw_maps(sheet, top, maps)
    _draw_curves(sheet.axes(LEFT, curve, inside, CURVE[0]), sets)
    return sheet.figure


def _draw_maps(sheet: Sheet, top: float, maps: dict[str, Tensor]) -> None:
    """Draw the maps on one scale and, last, members minus prior samples; colour bars below."""
    *panels, last = sheet.row(LEFT, top, len(maps) + 1, (PANEL, PANEL), GAP)
    low = min(float(each.min()) for each in maps.values())
    high = max(float(each.max()) for each in maps.values())
    for axes, (name, values) in zip(panels, maps.items(), strict=True):
        axes.imshow(values.numpy(), vmin=low, vmax=high, cmap="viridis", **PLACE)
        axes.set_title(name)
    _draw_bar(sheet, panels, "log10 of power")
    *_, members, prior = maps.values()
    difference = (members - prior).numpy()
    most = max(float(np.abs(difference).max()), 1e-6)
    last.imshow(difference, vmin=-most, vmax=most, cmap=SIGNED, **PLACE)
    last.set_title("members minus prior")
    _draw_bar(sheet, [last], "log10; orange: more in members")
    for axes in (*panels, last):
        axes.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        axes.set_xlabel("horizontal frequency", fontsize=SMALL, labelpad=2)
        axes.tick_params(labelsize=SMALL, labelleft=axes is panels[0])
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("vertical frequency / Nyquist", fontsize=SMALL, labelpad=2)


def _draw_bar(sheet: Sheet, panels: Sequence[Axes], label: str) -> None:
    """Draw one colour bar below panels that share a scale."""
    first, last = panels[0].get_position(), panels[-1].get_position()
    left, width = first.x0 * sheet.width, (last.x1 - first.x0) * sheet.width
    axes = sheet.axes(left, (1 - first.y0) * sheet.height + 0.52, width, 0.1)
    bar = sheet.figure.colorbar(panels[-1].images[0], cax=axes, orientation="horizontal")
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.locator_params(nbins=5 if len(panels) == 1 else 9)
    bar.set_label(label, fontsize=SMALL, labelpad=2)


def _draw_curves(axes: Axes, sets: dict[str, Tensor]) -> None:
    """Draw the power by radius, the legend below."""
    for (name, samples), colour in zip(sets.items(), (QUERY, MEMBER, PRIOR)[-len(sets) :], strict=True):
        frequencies = radial_frequencies(*samples.shape[2:]).numpy()
        logarithms = (radial_spectrum(samples) + ROUNDING).log10().numpy()
        mean = logarithms.mean(axis=0)
        axes.plot(frequencies, mean, color=colour, label=name, ls="--" if name == "query" else "-")
        if len(samples) > 1:
            spread = logarithms.std(axis=0, ddof=1)
            axes.fill_between(frequencies, mean - spread, mean + spread, color=colour, alpha=0.18, lw=0)
    axes.set(xlabel="spatial frequency / Nyquist frequency", ylabel="log10 of power", xlim=(0, 1))
    axes.set_title("power by radius; bands are one standard deviation across images")
    below = -0.52 / CURVE[0]
    axes.legend(loc="upper left", bbox_to_anchor=(0, below), ncols=len(sets), frameon=False, borderaxespad=0)
