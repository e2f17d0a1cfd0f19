"""Queries, and the equation that each asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import Generator, Objective
from equidiff.search.problem import Problem

PART = 512  # rows at a time where no solver is at work


@dataclass(frozen=True)
class Task:
    """Queries, and the equation that each asks.

    Attributes:
        generator: maps latents to samples.
        objective: what queries and members must share.
        queries: `[queries, *sample_shape]`, held-out data.
        reference: `[rows, *sample_shape]`, other held-out data.
        train: `[rows, *sample_shape]`, which generator and objective were trained on.
        tolerance: as a part of the spread of the measurement over prior samples.
    """

    generator: Generator
    objective: Objective
    queries: Tensor
    reference: Tensor
    train: Tensor
    tolerance: float

    @cached_property
    def targets(self) -> Tensor:
        """Of the queries, `[queries, m]`."""
        return in_parts(self.objective.measure, self.queries)

    @cached_property
    def loss(self) -> float:
        """Below which a sample is a member."""
        values = in_parts(self.objective.measure, prior_samples(self.generator, 2048, seed=1))
        return float(self.tolerance**2 * (values - values.mean(dim=0)).square().sum(dim=1).mean())

    def problem(self, query: int) -> Problem:
        """The equation of a query."""
        return Problem(self.generator, self.objective, NoRegularizer(), self.targets[query])


@torch.no_grad()
def prior_samples(generator: Generator, count: int, seed: int = 0) -> Tensor:
    """`[count, *sample_shape]`."""
    latents = torch.randn(count, *generator.latent_shape, generator=torch.Generator().manual_seed(seed))
    return torch.cat([generator.generate(rows) for rows in latents.split(PART)])


@torch.no_grad()
def in_parts(measure: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """A measurement of many samples."""
    return torch.cat([measure(rows) for rows in samples.split(PART)])
