"""The residual of one sample of a run."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.contracts import ResidualFunction, StepwiseSampler
from equidiff.numerics.random import Stream
from equidiff.search.problem import Problem
from equidiff.search.starts import Start


class SampleResidual(ResidualFunction):
    """c(z) of one sample: its tolerance and its own stream of latents."""

    def __init__(self, problem: Problem, tolerance: float, seed: int, index: int, start: Start | None = None) -> None:
        self.tolerance, self.size, self.splittable = tolerance, problem.size, problem.tail is not None
        self.rounded = problem.saved
        self._index, self._start = index, start
        self._shape = problem.generator.latent_shape
        self._device = problem.target.device
        self._problem = problem
        self._random = Stream.SAMPLE.open(seed, index)

    def stepwise_sampler(self, steps: int | None) -> StepwiseSampler:
        trajectory = self._problem.trajectory(steps)
        return super().stepwise_sampler(steps) if trajectory is None else trajectory.sampler

    def draw(self, count: int) -> Tensor:
        # drawn on the CPU: the same latents on every device
        prior = torch.randn(count, *self._shape, generator=self._random)
        return (prior if self._start is None else self._start.transform(prior, self._index)).to(self._device)
