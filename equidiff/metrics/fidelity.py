"""Fidelity: deviations of measurements from their target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.builtin.objectives.distribution import kl_roots
from equidiff.types import Measurements, PerSample

SUM_TOLERANCE = 1e-3  # largest deviation from 1 of a sum of float32 probabilities


@dataclass(frozen=True)
class Deviations:
    """Norms of f(x) - y* for each sample, all `[batch]`, in the measurement's unit or in spreads.

    Attributes:
        l1: sum of the absolute values of the m components.
        l2: root of the sum of their squares.
        max: the largest of them.
    """

    l1: PerSample
    l2: PerSample
    max: PerSample


def deviations(
    measurements: Measurements, target: Float[Tensor, " m"], spreads: Float[Tensor, " m"] | None = None
) -> Deviations:
    """Compute the deviations of measurements from a target.

    Args:
        measurements: `[batch, m]`.
        target: y*, one for all, or `[batch, m]`, one for each.
        spreads: divisor of each component, such as its standard deviation over prior samples.

    References:
        Thesis, section 4.1.2, "Activation Fidelity".
    """
    difference = (measurements - target).double()
    if spreads is not None:
        difference = difference / spreads
    return Deviations(difference.abs().sum(dim=1), difference.norm(dim=1), difference.abs().amax(dim=1))


def kl_divergences(probabilities: Float[Tensor, "batch m"], target: Float[Tensor, " m"]) -> PerSample:
    """KL(target || sample) of distributions, in nats, at least 0.

    Args:
        probabilities: rows that sum to 1; zeros count as the smallest number of their format.
        target: the distribution to compare with.

    References:
        Thesis, section 4.1.2, "Probability Preservation".
    """
    return kl_roots(probabilities.double(), target.double()).square().sum(dim=1)


def rank_correlations(measurements: Measurements, target: Float[Tensor, " m"]) -> PerSample:
    """Spearman's correlation of each row with the target, over the m components, which are at least 2; ties are shared.

    Returns:
        `[batch]` in [-1, 1]; NaN where all components of a row, or of the target, are equal.
    """
    from scipy.stats import rankdata

    ranks = torch.from_numpy(rankdata(torch.cat([measurements, target[None]]).cpu().numpy(), axis=1))
    ranks = ranks - ranks.mean(dim=1, keepdim=True)
    norms = ranks.norm(dim=1)
    return ranks[:-1] @ ranks[-1] / (norms[:-1] * norms[-1])


def as_distributions(values: Measurements, unit: str) -> Float[Tensor, "batch m"] | None:
    """Convert measurements to probabilities: logits by softmax; None if they represent no distribution.

    Args:
        values: `[batch, m]`; the outputs of a classifier, or something else.
        unit: unit of the measurement.
    """
    if values.shape[1] < 2:
        return None
    if unit == "logit":
        return values.double().softmax(dim=1)
    sums = bool(((values.sum(dim=1) - 1).abs() < SUM_TOLERANCE).all()) and bool((values >= 0).all())
    return values.double() if unit == "probability" and sums else None
