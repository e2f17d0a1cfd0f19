"""Whether the members look like the reference as much as prior samples do, and whether their latents are typical."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from equidiff.analysis.evaluation.material import Material
from equidiff.analysis.evaluation.results import Metric, Results, mean_of, share_of
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
from equidiff.metrics.realism import Kernel, mean_percentile_interval

REJECTED = 0.01  # by any of the tests together
FID_WARNING = (
    "FID of {n} members is mostly bias: it needs covariances of 2048 dimensions, and 10000 members or more. Compare it "
    "with that of as many prior samples only, and trust KID and the percentile more (Chong and Forsyth, 2020)."
)


def measure_realism(material: Material, results: Results) -> None:
    """Add the group "realism"."""
    _add_neighbours(material, results)
    _add_kernels(material, results)
    _add_fid(material, results)
    _add_latents(material, results)


def _add_neighbours(material: Material, results: Results) -> None:
    """The percentile of each member's distance to its nearest neighbour, among prior samples."""
    reference = material.reference.features
    own, plain = (nearest_distances(each.features, reference) for each in (material.members, material.control))
    ranks = percentiles(own, plain)
    results.keep("percentile", ranks)
    results.keep("neighbour_distance", own)
    results.add("realism", "neighbour_distance", mean_of("distance to the nearest", "feature units", own, plain))
    interval = mean_percentile_interval(own, plain, material.seed) if len(own) > 1 else None
    label = "percentile of that distance"
    results.add("realism", "percentile", Metric(label, ranks.mean().item(), "%", len(own), interval, 50.0))


def _add_kernels(material: Material, results: Results) -> None:
    names = ("kid", "kid_excess", "kernel_distance", "kernel_distance_excess")
    n = len(material.members)
    if n < 2:
        results.skip("realism", names, "a distance between sets needs at least 2 members")
        return
    reference = material.reference.features
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
        own, plain = (
            KernelDistance.of(each.features[:n], reference, kernel) for each in (material.members, material.control)
        )
        intervals = [each.interval(material.seed) for each in (own, plain)]
        metric = Metric(labels[name], own.value, "", n, intervals[0], plain.value, intervals[1])
        results.add("realism", name, metric)
        excess, interval = own.value - plain.value, own.excess_interval(plain, material.seed)
        results.add("realism", f"{name}_excess", Metric("  above prior samples", excess, "", n, interval))


def _add_fid(material: Material, results: Results) -> None:
    n = len(material.members)
    if not material.space.inception:
        results.skip("realism", "fid", "it needs Inception's weights: --features inception:WEIGHTS.pth")
    elif n < 2:
        results.skip("realism", "fid", "a covariance needs at least 2 members")
    else:
        reference = material.reference.features
        value, plain = (
            frechet_from_features(each.features[:n], reference) for each in (material.members, material.control)
        )
        results.add("realism", "fid", Metric("FID (biased, see the warning)", value, "", n, plain=plain))
        results.warnings.append(FID_WARNING.format(n=n))


def _add_latents(material: Material, results: Results) -> None:
    sets = (material.latents, material.prior_latents)
    norms = [relative_norms(each) for each in sets]
    results.add("realism", "latent_norm", mean_of("|z| / sqrt(d)", "", *norms))
    p_values = [[norm_p_values(each)] for each in sets]
    if material.latents[0].numel() < MIN_LATENT_SIZE:
        why = f"latents of {material.latents[0].numel()} numbers are too short for a spectrum"
        results.skip("realism", ["latent_flatness", "latent_correlation"], why)
    else:
        flatness, correlation = (
            [function(each) for each in sets] for function in (spectral_flatness, neighbour_correlation)
        )
        results.add("realism", "latent_flatness", mean_of("flatness of the latents' spectrum", "", *flatness))
        label = "correlation of neighbouring numbers"
        results.add("realism", "latent_correlation", mean_of(label, "sd of white noise", *correlation))
        for rows, each in zip(p_values, sets, strict=True):
            rows += [flatness_p_values(each), correlation_p_values(each)]
    rejected = [_any_rejects(rows) for rows in p_values]
    results.add("realism", "latent_rejected", share_of("latents unlike the prior (p < 0.01)", *rejected))
    results.keep("latent_norm", norms[0])
    results.keep("latent_p", torch.stack(p_values[0]).amin(dim=0) * len(p_values[0]))


def _any_rejects(p_values: list[Tensor]) -> Tensor:
    """1 where one of k tests has p below `REJECTED` / k, else 0 (Bonferroni)."""
    return (torch.stack(p_values).amin(dim=0) < REJECTED / len(p_values)).double()
