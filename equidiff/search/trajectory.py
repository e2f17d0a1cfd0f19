"""The equation of a run at states of the sampler in place of latents: from its tail, or along its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor

from equidiff.contracts import Answer, Equation, Generator, SplitAnswer, SplitSampler, StepwiseSampler
from equidiff.types import Latents, Samples

Share = Callable[[Callable[[], object]], float]


@final
class Tail(Generator):
    """The tail of a sampler: a generator whose latents are intermediate states."""

    def __init__(self, sampler: SplitSampler, generator: Generator) -> None:
        self.latent_shape, self.sample_shape = generator.latent_shape, generator.sample_shape
        self.kind = generator.kind
        self._sampler = sampler

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        return self._sampler.finish(latents)


@final
class Predicted(Generator):
    """The samples predicted before a step: a generator whose latents are states of the stepwise sampler."""

    def __init__(self, sampler: StepwiseSampler, step: int, generator: Generator) -> None:
        self.latent_shape, self.sample_shape = generator.latent_shape, generator.sample_shape
        self.kind = generator.kind
        self._sampler, self._step = sampler, step

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        return self._sampler.predict(latents, self._step)


@final
class ProblemTrajectory:
    """The equation of a run along the way of its stepwise sampler.

    Args:
        equation: of the run; a dataclass.
        sampler: of its generator.
        share_of: the cost of some work as a share of a whole pass.
    """

    def __init__(self, equation: Any, sampler: StepwiseSampler, share_of: Share) -> None:
        self.sampler = sampler
        self._equation, self._share_of = equation, share_of

    @cached_property
    def prediction_share(self) -> float:
        """The cost of predicting a sample and measuring it, as a share of a whole pass."""
        return self._share_of(lambda: self.prediction(self._last).value(self._states))

    @cached_property
    def advance_share(self) -> float:
        """The cost of a step, likewise."""
        return self._share_of(lambda: self.sampler.advance(self._states, 0, self._noise)) if self._last else 0.0

    @cached_property
    def encode_share(self) -> float:
        """The cost of encoding a sample, likewise."""
        with torch.no_grad():
            samples = self.sampler.predict(self._states, self._last)
        return self._share_of(lambda: self.sampler.encode(samples))

    def prediction(self, step: int) -> Equation:
        """The equation of states before a step, in place of latents."""
        generator: Generator = Predicted(self.sampler, step, self._equation.generator)
        return replace(self._equation, generator=generator)

    def advance(self, states: Tensor, step: int, noise: Tensor | None) -> SplitAnswer:
        """The states after a step; nothing is measured, so all else is NaN."""
        with torch.no_grad():
            after = self.sampler.advance(states, step, noise)

        def unknown(*shape: int) -> Tensor:
            return states.new_full((len(states), *shape), torch.nan)

        return SplitAnswer(
            latents=states,
            samples=unknown(*self._equation.generator.sample_shape),
            measurements=unknown(len(self._equation.target)),
            residuals=unknown(self._equation.size),
            loss=unknown(),
            loss_unfiltered=unknown(),
            loss_filtered=None,
            outside=unknown(),
            states=after,
        )

    def encode(self, samples: Tensor) -> Answer:
        """Loss and residuals at latents that lead to given samples, nearly."""
        with torch.no_grad():
            latents = self.sampler.encode(samples)
        return self._equation.value(latents)

    @property
    def _last(self) -> int:
        return len(self.sampler.noise_levels) - 1

    @cached_property
    def _states(self) -> Tensor:
        """States of one latent, where costs are counted."""
        return self.sampler.begin(self._origin)

    @property
    def _origin(self) -> Tensor:
        return torch.zeros(1, *self._equation.generator.latent_shape, device=self._equation.target.device)

    @property
    def _noise(self) -> Tensor | None:
        return self._origin if self.sampler.stochastic else None
