"""Measures of a set of members: functions on tensors, each with its source."""

from equidiff.metrics.diversity import coverage, mean_pairwise_distance, vendi_of_kernel, vendi_score
from equidiff.metrics.fidelity import Deviations, as_distributions, deviations, kl_divergences, rank_correlations
from equidiff.metrics.intervals import (
    bootstrap_interval,
    jackknife_interval,
    mean_interval,
    resampling_weights,
    share_interval,
)
from equidiff.metrics.latents import (
    correlation_p_values,
    flatness_p_values,
    neighbour_correlation,
    norm_p_values,
    relative_norms,
    spectral_flatness,
)
from equidiff.metrics.perceptual import PerceptualDistance
from equidiff.metrics.realism import (
    KernelDistance,
    frechet_distance,
    frechet_from_features,
    gaussian_kernel,
    kernel_distance,
    median_distance,
    nearest_distances,
    percentiles,
    polynomial_kernel,
)
from equidiff.metrics.spectral import (
    CUTOFFS,
    band_powers,
    cutoff_curve,
    high_frequency_share,
    mean_log_spectrum,
    power_spectrum,
    radial_frequencies,
    radial_spectrum,
    spectrum_slope,
)

__all__ = [
    "CUTOFFS", "Deviations", "KernelDistance", "PerceptualDistance", "as_distributions",
    "band_powers", "bootstrap_interval", "correlation_p_values", "coverage", "cutoff_curve",
    "deviations", "flatness_p_values", "frechet_distance", "frechet_from_features", "gaussian_kernel",
    "high_frequency_share", "jackknife_interval", "kernel_distance", "kl_divergences", "mean_interval",
    "mean_log_spectrum", "mean_pairwise_distance", "median_distance", "nearest_distances", "neighbour_correlation",
    "norm_p_values", "percentiles", "polynomial_kernel", "power_spectrum", "radial_frequencies", "radial_spectrum",
    "rank_correlations", "relative_norms", "resampling_weights", "share_interval", "spectral_flatness",
    "spectrum_slope", "vendi_of_kernel", "vendi_score",
]  # fmt: skip
