"""What can be measured of a set of members; each function on tensors alone, with its source."""

from equidiff.metrics.spectral import (
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
    "band_powers", "cutoff_curve", "high_frequency_share", "mean_log_spectrum", "power_spectrum", "radial_frequencies",
    "radial_spectrum", "spectrum_slope",
]  # fmt: skip
