"""Where the samples of a run start that are to lie around the query, near ones and far ones alike."""

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
    """Where samples start, if not from the prior."""

    @abstractmethod
    def bend(self, prior: Tensor, index: int) -> Tensor:
        """Turn draws from the prior into starts of one sample; rows of the same place in the same stream.

        Args:
            prior: `[rows, *latent_shape]`, on the CPU.
            index: of the sample.

        Returns:
            `[rows, *latent_shape]`, on the CPU.
        """


@final
@dataclass(frozen=True, eq=False)
class GivenStart(Start):
    """Starts that are known.

    Attributes:
        latents: where each sample starts, `[1, *latent_shape]`, on the CPU, by its index.
    """

    latents: Mapping[int, Tensor]

    def bend(self, prior: Tensor, index: int) -> Tensor:
        return self.latents[index].expand(prior.shape)


@final
@dataclass(frozen=True, eq=False)
class QueryStart(Start):
    """Starts on arcs that lead from the query's latent to everywhere else.

    Sample i starts at `cos(a) z* + sin(a) e`, where e is from the prior and a is `start_angle(i)`. If z* is typical of
    the prior, so is every start; at pi/2 it is a plain latent, which in many dimensions is at a right angle to z*.

    Attributes:
        latent: z*, `[1, *latent_shape]`, on the CPU.
    """

    latent: Tensor

    def bend(self, prior: Tensor, index: int) -> Tensor:
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
