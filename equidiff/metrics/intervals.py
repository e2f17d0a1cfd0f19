"""Confidence intervals: the bootstrap, and the jackknife where resampling would bias.

A resample is given as weights, the number of times that each row was drawn, so that a statistic of pairs of rows can
leave out the pairs of a row with itself, which would bias it.

References:
    Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapters 11 and 13.
    Hesterberg (2015), "What Teachers Should Know About the Bootstrap", section 5.3: the expanded percentile interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

RESAMPLES = 2000
CONFIDENCE = 0.95
MAX_GROUPS = 64  # of rows that the jackknife leaves out in turn: more would take long and change little

Pair = tuple[float, float]


def resampling_weights(count: int, resamples: int = RESAMPLES, seed: int = 0) -> Float[Tensor, "resamples count"]:
    """Number of times that each of `count` rows is drawn in each resample; every row of weights sums to `count`."""
    random = torch.Generator().manual_seed(seed)
    drawn = torch.randint(count, (resamples, count), generator=random)
    return torch.zeros(resamples, count, dtype=torch.float64).scatter_add_(1, drawn, torch.ones_like(drawn).double())


def bootstrap_interval(
    statistic: Callable[..., Tensor],
    *counts: int,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Pair:
    """Expanded percentile interval of a statistic.

    The percentiles are moved outwards so that, for the mean of a normal sample, the interval is as wide as Student's.

    Args:
        statistic: maps weights `[resamples, count]`, one tensor for each count, to `[resamples]` values; those that are
            not finite, such as a mean over pairs when only one row was drawn, are left out.
        counts: number of rows of each independent set to draw from; at least 2 each.
        resamples: number of resamples.
        confidence: fraction of intervals that contain the true value, in (0, 1).
        seed: seed of the draws.

    Returns:
        Its lower and upper ends.
    """
    weights = [resampling_weights(count, resamples, seed + position) for position, count in enumerate(counts)]
    values = statistic(*weights).double().cpu()
    tail = _tail(min(counts), confidence)
    low, high = torch.quantile(values[values.isfinite()], torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


def mean_interval(values: Float[Tensor, " count"], confidence: float = CONFIDENCE, seed: int = 0) -> Pair:
    """Bootstrap interval of the mean of at least 2 values."""
    values = values.double()
    return bootstrap_interval(
        lambda weights: weights @ values / len(values), len(values), confidence=confidence, seed=seed
    )


def share_interval(values: Float[Tensor, " count"], confidence: float = CONFIDENCE) -> Pair:
    """Wilson's interval of a share, which has a width even if all values are equal or there is only one.

    Args:
        values: 1 for each row that counts, 0 for the others.
        confidence: as in `bootstrap_interval`.
    """
    return wilson_interval(int(values.sum()), len(values), confidence)


def wilson_interval(hits: int, count: int, confidence: float = CONFIDENCE) -> Pair:
    """Wilson's interval of the share `hits / count`; all shares where nothing was counted.

    References:
        Brown, Cai and DasGupta (2001), "Interval Estimation for a Binomial Proportion".
    """
    if count == 0:
        return 0.0, 1.0
    # every run ends with a few of these: scipy's own, `binomtest`, would take nearly a second to import
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (hits + z**2 / 2) / (count + z**2)
    reach = z / (count + z**2) * math.sqrt(hits * (count - hits) / count + z**2 / 4)
    return (0.0 if hits == 0 else centre - reach), (1.0 if hits == count else centre + reach)


def jackknife_interval(
    statistic: Callable[[Tensor], float], count: int, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Interval from leaving out groups of rows, for statistics that repeated rows bias, such as a number of kinds.

    Args:
        statistic: maps the indices of the remaining rows to a value.
        count: number of rows, at least 3.
        confidence: as in `bootstrap_interval`.

    Returns:
        The value for all rows, minus and plus Student's quantile times the jackknife's standard error.

    References:
        Shao and Wu (1989), "A General Theory for Jackknife Variance Estimation".
    """
    from scipy.stats import t

    groups = torch.arange(count).tensor_split(min(count, MAX_GROUPS))
    rows = torch.arange(count)
    without = torch.tensor([statistic(rows[~torch.isin(rows, group)]) for group in groups], dtype=torch.float64)
    error = math.sqrt((len(groups) - 1) / len(groups) * float((without - without.mean()).square().sum()))
    whole = statistic(rows)
    reach = float(t.ppf(0.5 + confidence / 2, len(groups) - 1)) * error
    return whole - reach, whole + reach


def _tail(count: int, confidence: float) -> float:
    from scipy.stats import norm, t

    wide = math.sqrt(count / (count - 1)) * float(t.ppf(0.5 - confidence / 2, count - 1))
    return float(norm.cdf(wide))
