"""Where the samples of a run start that are to lie around the query, near ones and far ones alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from torch import Tensor

from equidiff.arcs import angle_between

GOLDEN = (math.sqrt(5) - 1) / 2


@final
@dataclass(frozen=True, eq=False)
class QueryStart:
    """Starts on arcs that lead from the query's latent to everywhere else.

    Sample i starts at `cos(a) z* + sin(a) e`, where e is from the prior and a is `start_angle(i)`. If z* is typical of
    the prior, so is every start; at pi/2 it is a plain latent, which in many dimensions is at a right angle to z*.

    Attributes:
        latent: z*, `[1, *latent_shape]`, on the CPU.
    """

    latent: Tensor

    def bend(self, prior: Tensor, index: int) -> Tensor:
        """Draws from the prior, `[rows, *latent_shape]`, as starts of sample `index`."""
        angle = start_angle(index)
        return math.cos(angle) * self.latent + math.sin(angle) * prior

    def distance(self, latent: Tensor) -> float:
        """The angle between z* and a latent, `[1, *latent_shape]`, in radians."""
        return angle_between(self.latent, latent)


def start_angle(index: int) -> float:
    """The angle at which sample `index` starts, in radians, above 0 and at most pi/2.

    However many samples there are, their angles cover this evenly: multiples of the golden ratio modulo 1 do.

    References:
        Niederreiter (1992), "Random number generation and quasi-Monte Carlo methods", chapter 3.
    """
    return math.pi / 2 * (1 - math.modf(index * GOLDEN)[0])
