"""Figure 4.4 of the thesis: the spectra of the query, of members, and of prior samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from equidiff.analysis.figures.thesis.source import MEMBER, PRIOR, QUERY, Source
from equidiff.images.convert import is_image
from equidiff.metrics.spectral import ROUNDING, mean_log_spectrum, radial_frequencies, radial_spectrum
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

MOST = 64  # members, and prior samples
SMALLEST = 4  # pixels a side


def unsupported(found: InvariantSet) -> str | None:
    """Reason why this figure cannot be drawn of a run; None if it can."""
    if not is_image(found.samples):
        return "its samples are not images"
    return "its images are too small" if min(found.samples.shape[2:]) < SMALLEST else None


def rows(found: InvariantSet) -> int:
    """Number of rows that go through generator or objective."""
    return min(len(found), MOST)


def draw(source: Source) -> Figure:
    """Draw mean log spectra as images on one scale, their difference, and the power by radius.

    There are as many prior samples as members, from the same generator; both are at most `MOST`, from the first.
    """
    members = source.found.samples[:MOST]
    generator = source.parts.problem.generator
    latents = prior_latents(generator, len(members), source.found.info.seed, Stream.CONTROL)
    prior = source.apply(generator.generate, latents, "drawing prior samples")
    sets = {f"{len(members)} members": members, f"{len(prior)} prior samples": prior}
    if source.query is not None:
        sets = {"query": source.query, **sets}
    maps = {name: mean_log_spectrum(samples) for name, samples in sets.items()}
    figure = Figure(figsize=(3.1 * (len(maps) + 1), 6.6), dpi=150, layout="constrained")
    layout = figure.add_gridspec(2, len(maps) + 1, height_ratios=(1.05, 1))
    _maps([figure.add_subplot(layout[0, column]) for column in range(len(maps) + 1)], maps)
    _radial(figure.add_subplot(layout[1, :]), sets)
    figure.suptitle(f"{source.title}: power spectra of the images", x=0.01, ha="left", fontsize=11)
    return figure


def _maps(panels: list[Axes], maps: dict[str, Tensor]) -> None:
    low = min(float(each.min()) for each in maps.values())
    high = max(float(each.max()) for each in maps.values())
    place = {"extent": (-1, 1, 1, -1), "interpolation": "nearest"}
    for axes, (name, values) in zip(panels, maps.items(), strict=False):
        shown = axes.imshow(values.numpy(), vmin=low, vmax=high, cmap="viridis", **place)
        axes.set_title(name)
        if axes is panels[-2]:
            axes.figure.colorbar(shown, ax=panels[:-1], label="log10 of power", shrink=0.8)
    *_, members, prior = maps.values()
    difference = members - prior
    most = max(float(difference.abs().max()), 1e-6)
    shown = panels[-1].imshow(difference.numpy(), vmin=-most, vmax=most, cmap="PuOr", **place)
    panels[-1].set_title("members minus prior")
    panels[-1].figure.colorbar(shown, ax=panels[-1], label="difference of log10", shrink=0.8)
    for axes in panels:
        axes.set(xlabel="horizontal frequency / Nyquist", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        axes.spines[:].set_visible(False)
    panels[0].set_ylabel("vertical frequency / Nyquist")


def _radial(axes: Axes, sets: dict[str, Tensor]) -> None:
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
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
