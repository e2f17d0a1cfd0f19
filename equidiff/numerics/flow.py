"""Integrating a flow back in time, and retracing what was moved on its way."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from equidiff.types import Latents

Slope = Callable[[Tensor, float], Tensor]
BACK = 3  # steps of a way back, of two evaluations each: what more of them would gain is lost between the turns


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
