"""All probabilities of a classifier at once, compared as a distribution."""

from __future__ import annotations

import math
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from equidiff.contracts import Objective, Predictor
from equidiff.types import Measurements, Samples

NEAR = 0.5  # below this difference of logarithms the closed form loses digits, and a series takes its place
SERIES = tuple(1 / math.factorial(n) for n in range(2, 15))  # of (exp(d) - 1 - d) / d^2: exact to float64 for NEAR


@final
class Distribution(Objective):
    """The probabilities of all classes; the discrepancy is the divergence KL(target || sample), in nats.

    Args:
        probabilities: measures the probabilities of all classes.
    """

    unit = "probability"

    def __init__(self, probabilities: Objective) -> None:
        self._probabilities = probabilities
        self.names = probabilities.names
        self.resizes = probabilities.resizes

    def measure(self, samples: Samples) -> Measurements:
        return self._probabilities.measure(samples)

    def networks(self) -> list[nn.Module]:
        return self._probabilities.networks()

    def predictor(self) -> Predictor | None:
        return self._probabilities.predictor()

    def residual(self, measurements: Measurements, target: Float[Tensor, " m"]) -> Float[Tensor, "batch m"]:
        """One signed root for each class, whose squares sum to the divergence; see `kl_roots`."""
        return kl_roots(measurements, target)


def kl_roots(p: Float[Tensor, "batch m"], q: Float[Tensor, " m"]) -> Float[Tensor, "batch m"]:
    """Signed square roots of the terms q log(q / p) - q + p.

    Each term is at least 0, and 0 where p = q only. Where p and q sum to 1, the terms sum to KL(q || p). The roots are
    smooth, through p = q too, where they are (p - q) / sqrt(2 q) to first order.

    Args:
        p: probabilities; those too small for the number format count as its smallest number.
        q: the reference distribution, with the same rule.

    Returns:
        `[batch, m]`: positive where p is above q.
    """
    smallest = torch.finfo(p.dtype).tiny
    log_p, log_q = p.clamp(min=smallest).log(), q.clamp(min=smallest).log()
    d = log_p - log_q
    high, low = d > NEAR, d < -NEAR
    # each branch gets values of its own range only: its gradient must be finite even where `where` discards it
    near, above, below = d.masked_fill(high | low, 0), d.masked_fill(~high, NEAR), d.masked_fill(~low, -NEAR)
    series = torch.full_like(near, SERIES[-1])
    for coefficient in reversed(SERIES[:-1]):
        series = coefficient + near * series
    # with d = log p - log q a term is q (exp(d) - 1 - d), or p (1 - (1 + d) exp(-d)), whichever cannot overflow
    around = near * series.sqrt() * (log_q / 2).exp()
    over = (log_p / 2).exp() * (1 - (1 + above) * (-above).exp()).sqrt()
    under = -(log_q / 2).exp() * (below.expm1() - below).sqrt()
    return torch.where(high, over, torch.where(low, under, around))
