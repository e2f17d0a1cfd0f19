"""Consistency sampling: from noise to the end of the flow in one step, or in a few with fresh noise between them.

References:
    Peng et al. (2025), "Flow-anchored consistency models". https://arxiv.org/abs/2507.03738
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from equidiff.contracts import Generator
from equidiff.types import Latents, Samples
from equidiff_lightningdit.generator import LightningDiTGenerator
from equidiff_lightningdit.sampler import CHECKPOINT, Velocity


@final
class ConsistencyGenerator(Generator):
    """Jumps to the end of a flow, and decodes it. A latent is the noise of every step, one after the other.

    Args:
        flow: the flow, whose transformer also knows the mean velocity to its end.
        steps: network evaluations, each with noise of its own.

    References:
        Peng et al. (2025), https://arxiv.org/abs/2507.03738
    """

    def __init__(self, flow: LightningDiTGenerator, steps: int = 1) -> None:
        channels, *sides = flow.latent_shape
        self.latent_shape = (steps * channels, *sides)
        self.sample_shape = flow.sample_shape
        self.network = flow.network
        self.steps = self._steps = steps
        self._flow = flow

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Map noise to images; see `Generator.generate`.

        Args:
            latents: noise of every step.
            steps: number of steps, which take the first parts of the latents; no more than there are parts.
        """
        noises = latents.chunk(self._steps, dim=1)[:steps]
        velocity = self._flow.mean_velocity(len(latents), latents.device)
        return self._flow.decode(sample_consistency(velocity, noises, self._flow.recompute))

    @torch.no_grad()
    def invert(self, samples: Samples) -> Latents:
        """Encode images, and integrate the flow backwards to the noise.

        The noise of a later step leads from the end that the step before found to the flow's state at that time. There
        is one such noise, and it is shorter than a typical one: noise that is drawn leads elsewhere.
        """
        state = self._flow.encode(samples)
        times = [step / self._steps for step in range(self._steps + 1)]
        states: list[Tensor] = []
        for after, now in pairwise(reversed(times)):
            inner = [time for time in self._flow.times if now < time < after]
            state = self._flow.integrate_back(state, [now, *inner, after])
            states.insert(0, state)
        velocity = self._flow.mean_velocity(len(samples), samples.device)
        noises = states[:1]
        for (now, time), (before, state) in zip(pairwise(times[:-1]), pairwise(states), strict=True):
            noises.append((state - time * _jump(velocity, before, now)) / (1 - time))
        return torch.cat(noises, dim=1)


def sample_consistency(velocity: Velocity, noises: Sequence[Tensor], recompute: bool = False) -> Tensor:
    """Jump from the first noise to the end of the flow, and again from each further noise mixed with the end so far.

    Args:
        velocity: mean velocity from a time to the end.
        noises: one for each step, `[batch, channels, side, side]`, standard normal. The times of the steps are uniform.
        recompute: recompute each step in the backward pass (gradient checkpointing), to save memory.

    Returns:
        The end of the last step, of the shape of one noise.
    """
    end = noises[0]
    for step, noise in enumerate(noises):
        time = step / len(noises)
        state = time * end + (1 - time) * noise if step else noise
        if recompute and torch.is_grad_enabled():
            end = checkpoint(_jump, velocity, state, time, **CHECKPOINT)
        else:
            end = _jump(velocity, state, time)
    return end


def _jump(velocity: Velocity, state: Tensor, time: float) -> Tensor:
    return state + (1 - time) * velocity(state, time)
