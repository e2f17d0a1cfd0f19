"""Tests of latents against the prior: of their length, and of the independence of neighbouring numbers.

Each test is exact for N(0, I), or nearly so, and gives a p-value: it is below 0.01 for 1 in 100 latents of the prior.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.types import Latents, PerSample

EULER = 0.5772156649015329
MIN_LATENT_SIZE = 64  # numbers in a latent, below which its spectrum says nothing


def relative_norms(latents: Latents) -> PerSample:
    """|z| / sqrt(d); 1 is typical."""
    rows = latents.flatten(1).double()
    return rows.norm(dim=1) / math.sqrt(rows.shape[1])


def norm_p_values(latents: Latents) -> PerSample:
    """Two-sided p-values of |z|^2, which is chi-square distributed with d degrees of freedom."""
    from scipy.stats import chi2

    squares = latents.flatten(1).double().square().sum(dim=1).cpu().numpy()
    size = latents[0].numel()
    lower, upper = chi2.cdf(squares, size), chi2.sf(squares, size)
    return torch.from_numpy(2 * lower).minimum(torch.from_numpy(2 * upper)).clamp(max=1)


def spectral_flatness(latents: Latents) -> PerSample:
    """Geometric over arithmetic mean of the power spectrum, divided by its value for white noise: 1 is white.

    Spectra are taken per channel of image-like latents `[batch, channels, height, width]`, and of others as one row of
    numbers. A value below 1 means that some frequencies are stronger than others.

    References:
        Gray and Markel (1974), "A spectral-flatness measure for studying the autocorrelation method".
    """
    power = _periodogram(latents)
    # the logarithm of an exponentially distributed number has a mean of minus Euler's constant
    return (power.log().mean(dim=1) + EULER).exp() / power.mean(dim=1)


def flatness_p_values(latents: Latents) -> PerSample:
    """Two-sided p-values of `spectral_flatness`, whose logarithm is nearly normal for white noise."""
    count = _periodogram(latents).shape[1]
    deviation = math.sqrt((math.pi**2 / 6 - 1) / count)
    return _two_sided((spectral_flatness(latents).log() - 1 / (2 * count)) / deviation)


def neighbour_correlation(latents: Latents) -> PerSample:
    """Correlation of neighbouring numbers, in standard deviations of its value for white noise: 0 is white.

    Neighbours are beside or below each other in the channels of image-like latents, else next to each other; the last
    is a neighbour of the first.
    """
    rows = latents.double()
    axes = (-1, -2) if rows.ndim == 4 else (-1,)
    if rows.ndim != 4:
        rows = rows.flatten(1)
    products = torch.stack([(rows * rows.roll(1, axis)).flatten(1).sum(dim=1) for axis in axes]).sum(dim=0)
    squares = rows.flatten(1).square().mean(dim=1)
    return products / (squares * math.sqrt(len(axes) * rows[0].numel()))


def correlation_p_values(latents: Latents) -> PerSample:
    """Two-sided p-values of `neighbour_correlation`, which is nearly normal for white noise."""
    return _two_sided(neighbour_correlation(latents))


def _periodogram(latents: Tensor) -> Float[Tensor, "batch frequencies"]:
    """Power at the frequencies that are not mirrored, where it is exponentially distributed."""
    rows = latents.double()
    width = rows.shape[-1] if rows.ndim == 4 else rows[0].numel()
    spectrum = torch.fft.rfft2(rows) if rows.ndim == 4 else torch.fft.rfft(rows.flatten(1))
    return spectrum[..., 1 : (width + 1) // 2].abs().square().flatten(1)


def _two_sided(deviations: Tensor) -> Tensor:
    return torch.special.erfc(deviations.abs() / math.sqrt(2))
