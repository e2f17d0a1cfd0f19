"""A pipeline's sampler in two parts, and the way back from an intermediate state to a latent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor

from equidiff.contracts import SplitSampler
from equidiff.types import Latents, Samples, States
from equidiff_diffusers.run import Run, Span

FLOW = "FlowMatchEulerDiscreteScheduler"
# schedulers whose step is linear in state and prediction, and remembers nothing, and what must not be set for it
LINEAR = {
    FLOW: ("stochastic_sampling",),
    "DDIMScheduler": ("clip_sample", "thresholding"),
    "EulerDiscreteScheduler": (),
}
SPLIT = 0.75  # share of the steps before the split
FLOW_NOISE = 0.4  # share of noise in a flow's state at the split
FEWEST_STEPS = 4
STEPS_BACK = 3  # of a flow, of two evaluations each

MakeRun = Callable[[Tensor, Span], Run]


@dataclass(frozen=True)
class FirstState:
    """The map from a latent to the sampler's first state: another order of its entries, times a number.

    Attributes:
        order: index of each of the latent's entries in the state.
        scale: the number.
    """

    order: Tensor
    scale: float

    @classmethod
    def between(cls, latent: Tensor, state: Tensor) -> FirstState | None:
        """The map that leads from this latent to this state; None where it is of another kind."""
        here, there = latent.flatten().double(), state.flatten().double()
        if len(here) != len(there):
            return None
        scale = float(there.norm() / here.norm())
        order = torch.empty_like(here, dtype=torch.long)
        order[here.argsort()] = there.argsort()
        return cls(order, scale) if torch.allclose(there[order], scale * here, rtol=1e-4, atol=1e-6) else None

    def undo(self, states: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Latents of this shape that lead to first states."""
        return (states.flatten(1)[:, self.order] / self.scale).reshape(len(states), *shape)


def is_linear(scheduler: Any) -> bool:
    """Steps of this scheduler depend on state and prediction alone, and linearly."""
    forbidden = LINEAR.get(type(scheduler).__name__)
    return forbidden is not None and not any(scheduler.config.get(name) for name in forbidden)


@final
class PipelineSplitSampler(SplitSampler):
    """The sampler of a pipeline, stopped between two of its steps.

    Args:
        make_run: makes a run of the whole pipeline, or of a span of it, for latents.
        scheduler: the pipeline's, with its times set.
        first: the map to the sampler's first state.
        latent_shape: shape of a latent.
        state_shape: shape of a state, with as many entries.
    """

    def __init__(
        self,
        make_run: MakeRun,
        scheduler: Any,
        first: FirstState,
        latent_shape: tuple[int, ...],
        state_shape: tuple[int, ...],
    ) -> None:
        self._make_run, self._scheduler, self._first = make_run, scheduler, first
        self._latent_shape, self._state_shape = latent_shape, state_shape
        self._flows = type(scheduler).__name__ == FLOW
        count = len(scheduler.timesteps)
        step = round(SPLIT * count)
        if self._flows:
            step = next((k for k in range(1, count) if scheduler.sigmas[k] <= FLOW_NOISE), count - 1)
        self.step = min(max(step, 1), count - 1)

    def begin(self, latents: Latents) -> States:
        """Run the steps before the split; a state has one part."""
        return self._as_latents(self._make_run(latents, Span(stop=self.step))())[:, None]

    def finish(self, states: States) -> Samples:
        """Run the steps after the split, and decode."""
        return self._run(states[:, 0], self.step, predict=False)

    def reencode(self, latents: Latents, states: States, moved: States) -> Latents:
        """Go back from both states, and add the difference to the latents, so that most of the error cancels."""
        both = torch.cat([states[:, 0], moved[:, 0]])
        before, after = (self._back_flow(both) if self._flows else self._back(both)).chunk(2)
        difference = (after - before).reshape(len(latents), *self._state_shape)
        return latents + self._first.undo(difference, self._latent_shape)

    def _back_flow(self, states: Tensor) -> Tensor:
        """Integrate a flow back to its first state by Heun's method, in a few of the sampler's steps."""
        count = min(STEPS_BACK, self.step)
        places = [round(self.step * (1 - k / count)) for k in range(count + 1)]
        for here, there in pairwise(places):
            length = float(self._scheduler.sigmas[there] - self._scheduler.sigmas[here])
            slope = self._predict(states, here)
            other = self._predict(states + length * slope, there)
            states = states + length * (slope + other) / 2
        return states

    def _back(self, states: Tensor) -> Tensor:
        """Approximate the state before each step by the prediction after it (DDIM inversion)."""
        for index in reversed(range(self.step)):
            keep, add = self._coefficients(index)
            states = (states - add * self._predict(states, index)) / keep
        return states

    def _coefficients(self, index: int) -> tuple[float, float]:
        """A step is linear, so its results for (1, 0) and (0, 1) determine it."""
        scheduler = self._scheduler
        if hasattr(scheduler, "_step_index"):
            scheduler._step_index = index
        state, prediction = torch.eye(2, device=scheduler.timesteps.device)
        after = scheduler.step(prediction, scheduler.timesteps[index], state, return_dict=False)[0]
        return float(after[0]), float(after[1])

    def _predict(self, states: Tensor, index: int) -> Tensor:
        """The prediction that the scheduler gets at a step with these states."""
        return self._as_latents(self._run(states, index, predict=True))

    def _run(self, states: Tensor, start: int, predict: bool) -> Tensor:
        rows = states.reshape(len(states), *self._state_shape)
        latents = self._first.undo(rows, self._latent_shape)  # taken where nothing is left out
        return self._make_run(latents, Span(rows, start, predict=predict))()

    def _as_latents(self, states: Tensor) -> Tensor:
        return states.reshape(len(states), *self._latent_shape)
