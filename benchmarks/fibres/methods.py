"""The methods that are compared, each on every query of a task."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from guided import guide_all
from task import Task, in_parts, prior_samples
from torch import Tensor

from equidiff.builtin.solvers.ndtm import Ndtm
from equidiff.contracts import BuildContext, Generator, Law, Solver
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.engine import Result, solve

ENCODED = "encoded:"  # before a solver whose guided samples would be taken as they are
BANK = "bank"  # prior samples, of which each query takes the nearest


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
        if isinstance(solver, Ndtm) and not name.startswith(ENCODED):
            samples, cost = guide_all(task, solver, count)
            return _found(name, task, samples, cost, started)
        results = [_solved(task, query, solver, law, count) for query in range(len(task.queries))]
        samples = torch.stack([torch.stack([_sample(each, task.generator) for each in own]) for own in results])
        cost = sum(3 * each.cost.evaluations for own in results for each in own) / (len(results) * count)
    return _found(name, task, samples, cost, started)


def _found(name: str, task: Task, samples: Tensor, cost: float, started: float) -> Found:
    distances = fibre_distances(task, samples)
    members = distances.square() * len(task.targets[0]) < task.loss
    return Found(name, samples, members, cost, time.monotonic() - started, name.startswith((BANK, "ndtm")))


def fibre_distances(task: Task, samples: Tensor) -> Tensor:
    """Root mean square over the outputs of the distance from the query's, `[queries, count]`; as published."""
    values = in_parts(task.objective.measure, samples.flatten(0, 1)).unflatten(0, samples.shape[:2])
    return (values - task.targets[:, None]).square().mean(dim=2).sqrt()


def _nearest(task: Task, count: int, bank: int) -> Tensor:
    """Of prior samples that all queries share, those whose measurements are the nearest to each query's."""
    samples = prior_samples(task.generator, bank)
    distances = torch.cdist(task.targets, in_parts(task.objective.measure, samples))
    return samples[distances.topk(count, largest=False).indices]


def _built(name: str) -> tuple[Solver, Law | None]:
    spec, _, law = name.removeprefix(ENCODED).partition("+")
    solver: Solver = build(Plugins(), "solver", spec, BuildContext()).component
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
