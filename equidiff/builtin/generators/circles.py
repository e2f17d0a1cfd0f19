"""`toy:circles`: the two-dimensional case of the thesis (figure 3.1).

Points lie in concentric rings around the origin. Their radius follows a mixture of normals, their angle is uniform, so
the map from a standard normal in the plane is known exactly: keep the angle, send the quantile of the length to the
quantile of the radius.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from equidiff.contracts import Generator
from equidiff.types import Latents, Samples

RINGS = (0.50, 1.00, 1.50)  # radii
WIDTH = 0.10  # standard deviation of the radius around each
QUERIES = ((0.50, 0.30), (-0.62, 0.78), (-0.75, -1.05))
BISECTIONS = 32


@final
class Circles(Generator):
    """Maps N(0, I) in the plane to concentric rings: exactly, and smoothly except at the origin."""

    latent_shape = (2,)
    sample_shape = (2,)
    network = "circles"

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        length = latents.norm(dim=1, keepdim=True).clamp(min=1e-12)
        return latents / length * radius_of(length)

    def invert(self, samples: Samples) -> Latents:
        radius = samples.norm(dim=1, keepdim=True).clamp(min=1e-12)
        below, above = _distribution(radius), _survival(radius).clamp(min=1e-30)
        logarithm = torch.where(below < 0.5, torch.log1p(-below.clamp(max=0.5)), above.log())
        return samples / radius * (-2 * logarithm).sqrt()

    def queries(self) -> Tensor:
        """Three points: inside, on and outside the unit circle."""
        return torch.tensor(QUERIES)


def radius_of(length: Tensor) -> Tensor:
    """Radius of the mixture that has the quantile of a latent's length; differentiable.

    By bisection, in the precision of the latents, which not every device can raise: in the upper half it compares what
    lies above, since float32 cannot tell quantiles near one apart.
    """
    # the length of a standard normal in the plane is Rayleigh distributed
    below, above = -torch.expm1(-0.5 * length.square()), torch.exp(-0.5 * length.square())
    with torch.no_grad():
        low, high = torch.zeros_like(length), torch.full_like(length, RINGS[-1] + 8 * WIDTH)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            too_low = torch.where(below < 0.5, _distribution(middle) < below, _survival(middle) > above)
            low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
        root = (low + high) / 2
        density = _density(root)
    # a Newton step at the root leaves the value as it is and has the derivative of the inverse, 1 / density
    return root + (below - below.detach()) / density.clamp(min=1e-6)


def sample_points(count: int, generator: torch.Generator) -> Tensor:
    """Draw points from the rings, `[count, 2]`."""
    return Circles().generate(torch.randn(count, 2, generator=generator))


def _distribution(radius: Tensor) -> Tensor:
    return (_mass(radius) - _BELOW) / (1 - _BELOW)


def _survival(radius: Tensor) -> Tensor:
    return _mass(radius, above=True) / (1 - _BELOW)


def _mass(value: Tensor, above: bool = False) -> Tensor:
    """Mass of the mixture below a radius, or above it, before it is cut off at zero."""
    width = (WIDTH if above else -WIDTH) * math.sqrt(2)
    # not `ndtr`, which has no correct digit in the tails in float32
    return torch.stack([torch.erfc((value - ring) / width) for ring in RINGS]).mean(dim=0) / 2


def _density(radius: Tensor) -> Tensor:
    peaks = torch.stack([torch.exp(-0.5 * ((radius - ring) / WIDTH) ** 2) for ring in RINGS])
    return peaks.mean(dim=0) / (WIDTH * math.sqrt(2 * math.pi) * (1 - _BELOW))


_BELOW = float(_mass(torch.zeros((), dtype=torch.float64)))  # the mass below zero, which is cut off
