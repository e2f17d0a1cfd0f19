"""Spectra of images, and the dependence of a measurement on high frequencies.

Frequencies are fractions of the Nyquist frequency (half a cycle a pixel). Images are treated as periodic, as by the
low-pass filter; power is the squared magnitude of the Fourier transform over the number of pixels, so that white
noise has its variance at every frequency.

References:
    Thesis, section 4.1.2, appendix .4: ideal low-pass filters, cut-offs from 0.1 to 0.9; deviation from the target.
    van der Schaaf and van Hateren (1996), "Modelling the power spectra of natural images": the slope is near -2.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.builtin.regularizers.lowpass import LowPass
from equidiff.search.problem import Problem

CUTOFFS = tuple(tenth / 10 for tenth in range(1, 10))
BANDS = 10
ROUNDING = 1 / (12 * 255**2)  # the power of rounding to 8 bits, the same at every frequency: less is invisible

Images = Float[Tensor, "batch channels height width"]


def power_spectrum(samples: Images) -> Float[Tensor, "batch height width"]:
    """Power at each frequency of `torch.fft.fft2`, averaged over channels, in squared pixel values.

    Args:
        samples: images, nominally in [0, 1].
    """
    height, width = samples.shape[-2:]
    return torch.fft.fft2(samples.double()).abs().square().mean(dim=1) / (height * width)


def radial_frequencies(height: int, width: int) -> Float[Tensor, " bins"]:
    """Centres of the rings of `radial_spectrum`, as fractions of the Nyquist frequency, up to 1."""
    bins = min(height, width) // 2
    return torch.arange(1, bins + 1, dtype=torch.float64) / bins


def radial_spectrum(samples: Images) -> Float[Tensor, "batch bins"]:
    """Mean power in rings around frequency zero.

    There is one ring for every two pixels of the shorter side, and all are equally wide. None contains frequency zero
    or the corners, which lie beyond the Nyquist frequency.

    Args:
        samples: images of at least 2 pixels a side, nominally in [0, 1].

    Returns:
        `[batch, min(height, width) // 2]`, float64, in squared pixel values; `radial_frequencies` has the frequencies.
    """
    return _ring_means(power_spectrum(samples))


def spectrum_slope(samples: Images) -> Float[Tensor, " batch"]:
    """Exponent a of power ~ frequency^a: the slope of a line fitted to log power against log frequency of the rings.

    The power of rounding to 8 bits is added first, so that an image without high frequencies has a slope, too.

    Args:
        samples: images of at least 4 pixels a side, nominally in [0, 1].

    Returns:
        About -2 for photographs, 0 for white noise and for a blank image.
    """
    power = power_spectrum(samples)
    logarithms = (_ring_means(power) + ROUNDING).log()
    x = _ring_means(_radius(power).clamp(min=1e-9).log()[None])[0]
    x = x - x.mean()
    return logarithms @ x / x.square().sum()


def mean_log_spectrum(samples: Images) -> Float[Tensor, "height width"]:
    """Mean spectrum of many images: the mean of log10 power, with frequency zero in the middle.

    The power of rounding to 8 bits is added to each image's first.
    """
    return torch.fft.fftshift((power_spectrum(samples) + ROUNDING).log10().mean(dim=0))


def band_powers(samples: Images, bands: int = BANDS) -> Float[Tensor, "batch bands"]:
    """Log10 of the mean power in bands from frequency zero, which is left out, to the Nyquist frequency.

    Args:
        samples: images, nominally in [0, 1].
        bands: number of bands, all equally wide. The power of rounding to 8 bits is added to each.

    Returns:
        `[batch, bands]`; NaN for a band that lies between the frequencies of a small image.
    """
    power = power_spectrum(samples)
    radius = _radius(power)
    # a frequency on an edge belongs below it, even if rounding puts it slightly above
    band = (radius * bands - 1e-9).ceil().long().clamp(min=0, max=bands + 1).flatten()
    sums = power.new_zeros(len(power), bands + 2).index_add(1, band, power.flatten(1))
    return (sums / band.bincount(minlength=bands + 2) + ROUNDING).log10()[:, 1 : bands + 1]


def high_frequency_share(samples: Images, above: float = 0.5) -> Float[Tensor, " batch"]:
    """Share of an image's variance above a frequency; NaN for a blank image."""
    power = power_spectrum(samples)
    radius = _radius(power)
    return (power * (radius > above)).sum(dim=(1, 2)) / (power * (radius > 0)).sum(dim=(1, 2))


@torch.no_grad()
def cutoff_curve(
    problem: Problem, samples: Images, cutoffs: tuple[float, ...] = CUTOFFS
) -> Float[Tensor, "cutoffs batch m"]:
    """Measurements of images without their frequencies above each cut-off.

    Subtract `problem.target` for the deviation that the thesis plots. A measurement that depends on low frequencies
    alone stays the same down to a low cut-off.

    Args:
        problem: gives the objective, and the device that it measures on.
        samples: images, nominally in [0, 1]; all of them in one pass.
        cutoffs: radii of the ideal filter, as fractions of the Nyquist frequency, in (0, 1].

    Returns:
        Measurements, on the CPU.
    """
    samples = samples.to(problem.target.device)
    curves = [problem.objective.measure(LowPass(cutoff).views(samples)[0]) for cutoff in cutoffs]
    return torch.stack(curves).float().cpu()


def _ring_means(values: Tensor) -> Tensor:
    """Means of `[batch, height, width]` in the rings of `radial_spectrum`, `[batch, bins]`."""
    bins = min(values.shape[-2:]) // 2
    ring = (_radius(values) * bins).round().long().clamp(max=bins + 1).flatten()
    sums = values.new_zeros(len(values), bins + 2).index_add(1, ring, values.flatten(1))
    return (sums / ring.bincount(minlength=bins + 2).clamp(min=1))[:, 1 : bins + 1]


def _radius(values: Tensor) -> Tensor:
    height, width = values.shape[-2:]
    rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64) for n in (height, width))
    return torch.hypot(rows[:, None], columns[None]).to(values) / 0.5
