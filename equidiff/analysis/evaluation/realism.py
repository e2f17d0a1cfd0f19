"""Realism: nearness to a reference, beside prior samples, and tests of the latents."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from equidiff.analysis.evaluation.results import Metric, Results, mean_of, share_of
from equidiff.analysis.evaluation.sample_sets import SampleSets
from equidiff.metrics import (
    KernelDistance,
    correlation_p_values,
    flatness_p_values,
    frechet_from_features,
    gaussian_kernel,
    median_distance,
    nearest_distances,
    neighbour_correlation,
    norm_p_values,
    percentiles,
    polynomial_kernel,
    relative_norms,
    spectral_flatness,
)
from equidiff.metrics.latents import MIN_LATENT_SIZE
from equidiff.metrics.realism import Kernel, distances, mean_percentile_interval

REJECTED = 0.01  # level of the tests together
FID_WARNING = (
    "FID of {n} members is mostly bias: it needs covariances of 2048 dimensions, and 10000 members or more. Compare it "
    "only with the FID of as many prior samples, and trust KID and the percentile more (Chong and Forsyth, 2020)."
)


def measure_realism(sets: SampleSets, results: Results) -> None:
    """Add the group "realism"."""
    _add_neighbours(sets, results)
    _add_kernels(sets, results)
    _add_fid(sets, results)
    _add_latents(sets, results)


def _add_neighbours(sets: SampleSets, results: Results) -> None:
    """The percentile of each member's distance to its nearest neighbour, among prior samples."""
    reference = sets.reference.features
    own, prior = (nearest_distances(each.features, reference) for each in (sets.members, sets.prior))
    ranks = percentiles(own, prior)
    results.keep("percentile", ranks)
    results.keep("neighbour_distance", own)
    if sets.files:
        nearest = distances(sets.members.features, reference).argmin(dim=1).tolist()
        results.per_member["nearest"] = [sets.files[row] for row in nearest]
    results.add("realism", "neighbour_distance", mean_of("distance to the nearest", "feature units", own, prior))
    interval = mean_percentile_interval(own, prior, sets.seed) if len(own) > 1 else None
    label = "percentile of that distance"
    results.add("realism", "percentile", Metric(label, ranks.mean().item(), "%", len(own), interval, 50.0))


def _add_kernels(sets: SampleSets, results: Results) -> None:
    names = ("kid", "kid_excess", "kernel_distance", "kernel_distance_excess")
    n = len(sets.members)
    if n < 2:
        results.skip("realism", names, "a distance between sets needs at least 2 members")
        return
    reference = sets.reference.features
    bandwidth = median_distance(reference)
    kernels: Mapping[str, Kernel | None] = {
        "kid": polynomial_kernel,
        "kernel_distance": gaussian_kernel(bandwidth) if bandwidth > 0 else None,
    }
    labels = {"kid": "kernel distance, cubic (KID)", "kernel_distance": "kernel distance, Gaussian"}
    for name, kernel in kernels.items():
        if kernel is None:
            results.skip("realism", [name, f"{name}_excess"], "the features of the reference are all alike")
            continue
        own, prior = (KernelDistance.of(each.features[:n], reference, kernel) for each in (sets.members, sets.prior))
        intervals = [each.interval(sets.seed) for each in (own, prior)]
        metric = Metric(labels[name], own.value, "", n, intervals[0], prior.value, intervals[1])
        results.add("realism", name, metric)
        excess, interval = own.value - prior.value, own.excess_interval(prior, sets.seed)
        results.add("realism", f"{name}_excess", Metric("  above prior samples", excess, "", n, interval))


def _add_fid(sets: SampleSets, results: Results) -> None:
    n = len(sets.members)
    if not sets.space.inception:
        results.skip("realism", "fid", "it needs Inception's weights: --features inception:WEIGHTS.pth")
    elif n < 2:
        results.skip("realism", "fid", "a covariance needs at least 2 members")
    else:
        reference = sets.reference.features
        value, prior = (frechet_from_features(each.features[:n], reference) for each in (sets.members, sets.prior))
        results.add("realism", "fid", Metric("FID (biased, see the warning)", value, "", n, plain=prior))
        results.warnings.append(FID_WARNING.format(n=n))


def _add_latents(sets: SampleSets, results: Results) -> None:
    both = (sets.latents, sets.prior_latents)
    norms = [relative_norms(each) for each in both]
    results.add("realism", "latent_norm", mean_of("|z| / sqrt(d)", "", *norms))
    p_values = [[norm_p_values(each)] for each in both]
    if sets.latents[0].numel() < MIN_LATENT_SIZE:
        why = f"latents of {sets.latents[0].numel()} numbers are too short for a spectrum"
        results.skip("realism", ["latent_flatness", "latent_correlation"], why)
    else:
        flatness, correlation = (
            [function(each) for each in both] for function in (spectral_flatness, neighbour_correlation)
        )
        results.add("realism", "latent_flatness", mean_of("flatness of the latents' spectrum", "", *flatness))
        label = "correlation of neighbouring numbers"
        results.add("realism", "latent_correlation", mean_of(label, "sd of white noise", *correlation))
        for rows, each in zip(p_values, both, strict=True):
            rows += [flatness_p_values(each), correlation_p_values(each)]
    rejected = [_any_rejects(rows) for rows in p_values]
    results.add("realism", "latent_rejected", share_of("latents unlike the prior (p < 0.01)", *rejected))
    results.keep("latent_norm", norms[0])
    results.keep("latent_p", torch.stack(p_values[0]).amin(dim=0) * len(p_values[0]))


def _any_rejects(p_values: list[Tensor]) -> Tensor:
    """1 where one of k tests has p below `REJECTED` / k, else 0 (Bonferroni)."""
    return (torch.stack(p_values).amin(dim=0) < REJECTED / len(p_values)).double()
