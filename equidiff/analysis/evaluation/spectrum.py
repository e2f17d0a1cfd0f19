"""Spectra of members beside those of prior samples, and the deviation after low-pass filters."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.analysis.evaluation.results import Metric, Results, curve, mean_of
from equidiff.analysis.evaluation.sample_sets import SampleSets, Spectra
from equidiff.metrics import CUTOFFS, cutoff_curve, deviations, radial_frequencies
from equidiff.metrics.intervals import bootstrap_interval
from equidiff.metrics.spectral import BANDS, ROUNDING

NAMES = [
    "slope", "high_share",
    *(f"cutoff_{cutoff:.1f}" for cutoff in CUTOFFS), *(f"band_{band / BANDS:.1f}" for band in range(1, BANDS + 1)),
]  # fmt: skip


def measure_spectrum(sets: SampleSets, results: Results) -> None:
    """Add the group "spectral"."""
    own, prior = sets.members.spectra, sets.prior.spectra
    if own is None or prior is None:
        why = "the images are too small" if sets.kind.is_image else f"the samples are {sets.kind.plural}, not images"
        results.skip("spectral", NAMES, why)
        return
    real = sets.reference.spectra if sets.real else None
    _add_shape(results, own, prior, real)
    results.curves["spectrum"] = {
        "frequency": curve(radial_frequencies(*sets.samples.shape[-2:])),
        "unit": "log10 of power",
        **_lines("members", own),
        **_lines("plain", prior),
        **({} if real is None else _lines("reference", real)),
    }
    for band in range(BANDS):
        others = None if real is None else real.bands[:, band]
        _add_band(results, band, own.bands[:, band], prior.bands[:, band], others, sets.seed)
    _add_cutoffs(sets, results)


def _add_shape(results: Results, own: Spectra, prior: Spectra, real: Spectra | None) -> None:
    slopes = (own.slopes, prior.slopes, None if real is None else real.slopes)
    shares = (own.shares, prior.shares, None if real is None else real.shares)
    results.add("spectral", "slope", mean_of("slope of the power spectrum", "power of frequency", *slopes))
    results.add("spectral", "high_share", mean_of("variance above half of Nyquist", "share", *shares))
    results.keep("slope", own.slopes)


def _lines(name: str, spectra: Spectra) -> dict[str, list[float]]:
    logarithms = (spectra.radial + ROUNDING).log10()
    return {name: curve(logarithms.mean(dim=0)), f"{name}_sd": curve(logarithms.std(dim=0, correction=0))}


def _add_band(results: Results, band: int, own: Tensor, prior: Tensor, real: Tensor | None, seed: int) -> None:
    """A band's mean power, in standard deviations of prior samples."""
    low, high = band / BANDS, (band + 1) / BANDS
    name, spread = f"band_{high:.1f}", prior.std()
    if not own.isfinite().all():
        results.skip("spectral", name, "images this small have no frequency in this band")
    elif spread == 0:
        results.skip("spectral", name, "prior samples do not vary in this band")
    else:
        value = float((own.mean() - prior.mean()) / spread)
        other = None if real is None else float((real.mean() - prior.mean()) / spread)
        interval = _band_interval(own, prior, seed) if len(own) > 1 else None
        metric = Metric(
            f"log power from {low:.1f} to {high:.1f}", value, "sd of prior", len(own), interval, reference=other
        )
        results.add("spectral", name, metric)


def _band_interval(own: Tensor, prior: Tensor, seed: int) -> tuple[float, float]:
    def value(rows: Tensor, others: Tensor) -> Tensor:
        centre = others @ prior / len(prior)
        spread = (others @ prior.square() / len(prior) - centre.square()).clamp(min=1e-12).sqrt()
        return (rows @ own / len(own) - centre) / spread

    return bootstrap_interval(value, len(own), len(prior), seed=seed)


def _add_cutoffs(sets: SampleSets, results: Results) -> None:
    """Deviation from the target after a low-pass at each cut-off; for prior samples, from their own measurement."""
    problem, runner = sets.finished.session.problem, sets.runner
    target, unit = problem.target.cpu(), problem.objective.unit

    def deviate(chunk: Tensor) -> Tensor:
        curves = cutoff_curve(problem, chunk)
        return torch.stack([deviations(each, target).l2 for each in curves], dim=1)

    def shift(chunk: Tensor) -> Tensor:
        whole = problem.objective.measure(chunk).cpu()
        return torch.stack([deviations(each, whole).l2 for each in cutoff_curve(problem, chunk)], dim=1)

    own = runner.apply(deviate, sets.samples, "filtering")
    prior = runner.apply(shift, sets.prior_samples, "filtering")
    for position, cutoff in enumerate(CUTOFFS):
        label = f"deviation of low-pass {cutoff:.1f}, L2"
        results.add("spectral", f"cutoff_{cutoff:.1f}", mean_of(label, unit, own[:, position], prior[:, position]))
    lines = {"members": curve(own.mean(dim=0)), "members_sd": curve(own.std(dim=0, correction=0))}
    lines |= {"plain": curve(prior.mean(dim=0)), "plain_sd": curve(prior.std(dim=0, correction=0))}
    query = sets.finished.found.query
    if query is not None:
        lines["query"] = curve(deviate(query.to(problem.target.device))[0])
    results.curves["cutoff"] = {"cutoff": list(CUTOFFS), "unit": unit, **lines}
