"""Flows: integrating back in time, and re-encoding a state that was moved."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from equidiff.types import Latents

Slope = Callable[[Tensor, float], Tensor]
STEPS_BACK = 3  # of two evaluations each: what more of them would gain is lost between the rounds of a search


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


def reencode_flow(slope: Slope, latents: Latents, state: Tensor, moved: Tensor, time: float) -> Latents:
    """Latents that lead a flow to a moved state: the difference between two ways back is added to the old ones.

    Both ways have nearly the same error, since the sampler's own steps are larger; most of it cancels.

    Args:
        slope: of the flow, which runs from noise at time 0.
        latents: `[batch, *latent_shape]`.
        state: `[batch, *latent_shape]`, to which they lead at `time`.
        moved: to which they should lead.
        time: of both.
    """
    back, wanted = integrate_back(slope, torch.cat([state, moved]), time, STEPS_BACK).chunk(2)
    return latents + (wanted - back)
