"""Angles and great circles between latents: a standard normal in many dimensions lies near a sphere."""

from __future__ import annotations

import math

import torch
from torch import Tensor


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
