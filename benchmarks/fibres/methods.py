"""The methods that are compared, each on every query of a task."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.ndtm import Ndtm
from equidiff.contracts import (
    BuildContext,
    Coroutine,
    Generator,
    Law,
    Objective,
    ResidualFunction,
    Solver,
    Step,
)
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem
from equidiff.types import Latents

BANK = "bank"  # prior samples, of which each query takes the nearest
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


@dataclass(frozen=True)
class Found:
    """The samples of one method.

    Attributes:
        name: of the method.
        samples: `[queries, count, *sample_shape]`; NaN where a sample failed.
        members: `[queries, count]`, bool.
        cost: of a sample, in prior samples: a backward pass counts two.
        seconds: for all.
        soft: the method aims at the target and says of no sample that it is there.
    """

    name: str
    samples: Tensor
    members: Tensor
    cost: float
    seconds: float
    soft: bool


class AsGuided(Solver):
    """`ndtm` without its encoding: the result is the guided sample, as published. Its latent is its start noise.

    Args:
        ndtm: the solver.
    """

    budget = 10**6

    def __init__(self, ndtm: Ndtm) -> None:
        self._ndtm = ndtm

    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        """Guide one trajectory."""
        answer = yield from self._ndtm.guide(latents, residual)
        yield Step(0, replace(answer, latents=latents))


def run_method(name: str, task: Task, count: int, bank: int) -> Found:
    """Samples of a method for every query.

    Args:
        name: a solver's spec; with `+LAW` a law's; `bank`; `ndtm...` is judged without its encoding, and
            `encoded:ndtm...` with it.
        task: the queries.
        count: samples for each.
        bank: prior samples of `bank`.
    """
    started = time.monotonic()
    if name == BANK:
        samples, cost = _nearest(task, count, bank), bank / (len(task.queries) * count)
    else:
        solver, law = _built(name)
        results = [_solved(task, query, solver, law, count) for query in range(len(task.queries))]
        samples = torch.stack([torch.stack([_sample(each, task.generator) for each in own]) for own in results])
        cost = sum(3 * each.cost.evaluations for own in results for each in own) / (len(results) * count)
    distances = fibre_distances(task, samples)
    members = distances.square() * len(task.targets[0]) < task.loss
    return Found(name, samples, members, cost, time.monotonic() - started, name.startswith((BANK, "ndtm")))


def fibre_distances(task: Task, samples: Tensor) -> Tensor:
    """Root mean square over the outputs of the distance from the query's, `[queries, count]`; as published."""
    values = in_parts(task.objective.measure, samples.flatten(0, 1)).unflatten(0, samples.shape[:2])
    return (values - task.targets[:, None]).square().mean(dim=2).sqrt()


@torch.no_grad()
def prior_samples(generator: Generator, count: int, seed: int = 0) -> Tensor:
    """`[count, *sample_shape]`."""
    latents = torch.randn(count, *generator.latent_shape, generator=torch.Generator().manual_seed(seed))
    return torch.cat([generator.generate(rows) for rows in latents.split(PART)])


@torch.no_grad()
def in_parts(measure: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    """A measurement of many samples."""
    return torch.cat([measure(rows) for rows in samples.split(PART)])


def _nearest(task: Task, count: int, bank: int) -> Tensor:
    """Of prior samples that all queries share, those whose measurements are the nearest to each query's."""
    samples = prior_samples(task.generator, bank)
    distances = torch.cdist(task.targets, in_parts(task.objective.measure, samples))
    return samples[distances.topk(count, largest=False).indices]


def _built(name: str) -> tuple[Solver, Law | None]:
    spec, _, law = name.removeprefix("encoded:").partition("+")
    solver: Solver = build(Plugins(), "solver", spec, BuildContext()).component
    if isinstance(solver, Ndtm) and not name.startswith("encoded:"):
        solver = AsGuided(solver)
    return solver, build(Plugins(), "law", law, BuildContext()).component if law else None


def _solved(task: Task, query: int, solver: Solver, law: Law | None, count: int) -> list[Result]:
    events = solve(
        task.problem(query),
        solver,
        range(count),
        seed=query,
        batch=count,
        budget=solver.budget,
        tolerance=task.loss,
        law=law,
    )
    return sorted((event for event in events if isinstance(event, Result)), key=lambda result: result.index)


def _sample(result: Result, generator: Generator) -> Tensor:
    """Its sample; NaN where there is none."""
    if result.answer is None:
        return torch.full(generator.sample_shape, torch.nan)
    return result.answer.samples[0]
