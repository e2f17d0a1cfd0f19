"""The trust region of Newton steps: how far they may go, and how that changes."""

from __future__ import annotations

import math

from torch import Tensor

GOOD_RATIO, POOR_RATIO = 0.3, 0.8  # of the loss after and before a step: longer steps, shorter steps
TRUSTED_LENGTH = 0.5  # of a step, in the prior's standard deviations; a longer one aims beyond its target
MAX_OVER_RELAXATION = 2.5


def first_radius(fraction: float, start: Tensor) -> float:
    """The first trust radius: a fraction of the length that is typical of the prior.

    Args:
        fraction: above 0.
        start: one latent, of any shape.
    """
    return fraction * math.sqrt(start.numel())


def next_radius(radius: float, length: float, ratio: float) -> float:
    """The trust radius after a step of this length changed the loss by this ratio."""
    if ratio < GOOD_RATIO:
        return max(radius, 2 * length)
    return radius if ratio < POOR_RATIO else length / 3


def over_relax(step: Tensor, residuals: int) -> Tensor:
    """Aim beyond a far target: the slope of a single residual wears off along a long step.

    With several residuals, whose slopes wear off unequally, it does harm.

    Args:
        step: `[d]`.
        residuals: how many it zeroes.
    """
    if residuals > 1:
        return step
    return step * min(max(float(step.norm()) / TRUSTED_LENGTH, 1.0), MAX_OVER_RELAXATION)
