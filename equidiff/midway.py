"""A sampler that can be stopped on its way, and continued from a state that was moved there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.residual import Latents

States = Float[Tensor, "batch parts *latent"]
Samples = Float[Tensor, "batch *sample"]


Slope = Callable[[Tensor, float], Tensor]

BACK = 3  # steps of a way back, of two evaluations each: what more of them would gain is lost between the turns


class Midway(ABC):
    """A generator in two halves, for solvers that search between them.

    Late on its way a sampler has most of its steps behind it: what is left is cheap to go through and hardly bent, so a
    search from there takes fewer passes, and shorter ones. Which latent leads to the state that was found is then
    asked of `retrace`.

    Where to stop is the generator's choice. Noise should be a third of the state, or somewhat more: with much less,
    moves are no longer shaped by what the sampler takes for real.
    """

    @abstractmethod
    def begin(self, latents: Latents) -> States:
        """The first half.

        Args:
            latents: `[batch, *latent_shape]`.

        Returns:
            `[batch, parts, *latent_shape]`: first the state, which solvers move; then what else the sampler remembers
            of its way, which they leave.
        """

    @abstractmethod
    def finish(self, states: States) -> Samples:
        """The second half: `finish(begin(z))` is `generate(z)`. Differentiable and deterministic.

        Args:
            states: `[batch, parts, *latent_shape]`.

        Returns:
            `[batch, *sample_shape]`.
        """

    @abstractmethod
    def retrace(self, latents: Latents, states: States, moved: States) -> Latents:
        """Latents that lead to moved states, nearly.

        A look back that is off by a tenth of the move will do: solvers look at what the latents lead to, and go on from
        there. They pay for network evaluations, so there should be few.

        Args:
            latents: `[batch, *latent_shape]`.
            states: `[batch, parts, *latent_shape]`, what they lead to.
            moved: the same, with other first parts.

        Returns:
            `[batch, *latent_shape]`; `latents` where nothing was moved.
        """


def integrate_back(slope: Slope, state: Tensor, time: float, steps: int) -> Tensor:
    """Integrate `dx/dt = slope(x, t)` by Heun's method, from a time back to 0.

    Args:
        slope: maps states and one time to their derivative.
        state: `[batch, ...]`, at `time`.
        time: above 0.
        steps: equal ones, of two evaluations each.
    """
    for now, after in pairwise(time * (1 - k / steps) for k in range(steps + 1)):
        here = slope(state, now)
        there = slope(state + (after - now) * here, after)
        state = state + (after - now) * (here + there) / 2
    return state


def retrace_flow(slope: Slope, latents: Latents, state: Tensor, moved: Tensor, time: float) -> Latents:
    """Retrace a flow: what differs between two ways back is added to the latents.

    Both ways are off alike, by what the sampler's own steps differ from small ones; most of that cancels.

    Args:
        slope: of the flow, which runs from noise at time 0.
        latents: `[batch, *latent_shape]`.
        state: `[batch, *latent_shape]`, what they lead to at `time`.
        moved: where they are to lead.
        time: of both.
    """
    back, wanted = integrate_back(slope, torch.cat([state, moved]), time, BACK).chunk(2)
    return latents + (wanted - back)
