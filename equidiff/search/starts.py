"""Starts of samples other than the prior: around the query's latent, or given."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from torch import Tensor

from equidiff.numerics.gaussian import angle_between

GOLDEN = (math.sqrt(5) - 1) / 2


class Start(ABC):
    """A rule for the latents that samples start from, in place of the prior."""

    @abstractmethod
    def transform(self, prior: Tensor, index: int) -> Tensor:
        """Turn draws from the prior into starts of one sample.

        Args:
            prior: `[rows, *latent_shape]`, on the CPU.
            index: of the sample.

        Returns:
            `[rows, *latent_shape]`, on the CPU.
        """


@final
@dataclass(frozen=True, eq=False)
class GivenStart(Start):
    """Given starts.

    Attributes:
        latents: the start of each sample by its index, `[1, *latent_shape]`, on the CPU.
    """

    latents: Mapping[int, Tensor]

    def transform(self, prior: Tensor, index: int) -> Tensor:
        return self.latents[index].expand(prior.shape)


@final
@dataclass(frozen=True, eq=False)
class QueryStart(Start):
    """Starts on great circles from the query's latent to prior draws.

    Sample i starts at `cos(a) z* + sin(a) e`, where e is from the prior and a is `start_angle(i)`. If z* is typical of
    the prior, so is every start; at pi/2 it is a prior draw, which in many dimensions is at a right angle to z*.

    Attributes:
        latent: z*, `[1, *latent_shape]`, on the CPU.
    """

    latent: Tensor

    def transform(self, prior: Tensor, index: int) -> Tensor:
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
