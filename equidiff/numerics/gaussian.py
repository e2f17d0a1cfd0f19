"""The Gaussian prior of latents: great circles between them, and lengths that are typical of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

TYPICAL = 2.576  # standard deviations: a latent stays within the central 99 % of the prior's lengths


def angle_between(one: Tensor, other: Tensor) -> float:
    """The angle between two latents in radians, 0 to pi, whatever their lengths.

    Args:
        one: of any shape.
        other: of the same.

    References:
        Kahan (2006), "How futile are mindless assessments of roundoff", section 12: the arc cosine of the inner product
            forgets small angles, this does not.
    """
    one, other = one.detach().cpu().flatten().double(), other.detach().cpu().flatten().double()
    one, other = one / one.norm(), other / other.norm()
    return 2 * math.atan2(float((one - other).norm()), float((one + other).norm()))


def slerp(one: Tensor, other: Tensor, share: float) -> Tensor:
    """The latent at this share of the way on the arc from one to the other; its length goes evenly as well.

    Args:
        one: of any shape.
        other: of the same, and not opposite.
        share: 0 gives `one`, 1 gives `other`.

    References:
        Shoemake (1985), "Animating rotation with quaternion curves". https://doi.org/10.1145/325165.325242
    """
    angle = angle_between(one, other)
    lengths = one.norm(), other.norm()
    if math.sin(angle) < 1e-6:  # so near that the arc is a line
        return torch.lerp(one, other, share)
    first, second = (math.sin(part * angle) / math.sin(angle) for part in (1 - share, share))
    return torch.lerp(*lengths, share) * (first * one / lengths[0] + second * other / lengths[1])


def shell_radii(size: int) -> tuple[float, float]:
    """The least and the greatest length within the central 99 % of a standard normal's in `size` dimensions.

    Its square is chi-squared, whose quantiles are nearly `d (1 - 2 / (9 d) + q sqrt(2 / (9 d)))^3`.

    References:
        Wilson and Hilferty (1931), "The distribution of chi-square". https://doi.org/10.1073/pnas.17.12.684
    """
    spread = 2 / (9 * size)
    low, high = (math.sqrt(size * max(1 - spread + q * math.sqrt(spread), 0.0) ** 3) for q in (-TYPICAL, TYPICAL))
    return low, high


def project_onto_shell(latents: Tensor) -> Tensor:
    """Bring each latent to the nearest length within the central 99 % of the prior's lengths."""
    low, high = shell_radii(latents[0].numel())
    length = latents.flatten(1).norm(dim=1).clamp(min=1e-12).reshape(-1, *[1] * (latents.ndim - 1))
    return latents * (length.clamp(low, high) / length)


def is_in_shell(latents: Tensor) -> Tensor:
    """True where |z| is within the central 99 % of the prior's, `[rows]`, bool."""
    size = latents[0].numel()
    spread = 2 / (9 * size)
    # Wilson and Hilferty (1931): the cube root of chi-squared over its degrees of freedom is nearly normal
    root = (latents.flatten(1).cpu().double().square().sum(dim=1) / size) ** (1 / 3)
    inside = (root - (1 - spread)).abs() <= 1.0001 * TYPICAL * math.sqrt(spread)  # a solver's limit lies within
    return inside.to(latents.device)
