"""Checks of the contract of a solver, and the means to drive one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import Generator, Law, Objective, Solver
from equidiff.errors import UsageError
from equidiff.run.settings import parse_tolerance
from equidiff.search.coroutines import ENDLESS
from equidiff.search.engine import FAILED, MEMBER, Result, StepRecord, solve
from equidiff.search.problem import Problem
from equidiff.testing.failure import Check, require, run_all
from equidiff.types import Latents, Measurements, Samples

SIZE = 16
SAMPLES = 4
HOPELESS_BUDGET = 40


@dataclass(frozen=True)
class Drive:
    """Results and steps of a driven solver.

    Attributes:
        results: one for each sample, in index order.
        steps: all steps, in the order in which they came.
    """

    results: tuple[Result, ...]
    steps: tuple[StepRecord, ...]


def drive(
    solver: Solver,
    problem: Problem,
    *,
    indices: Iterable[int] = range(1),
    seed: int = 0,
    batch: int = 16,
    budget: float | None = None,
    tolerance: float = 0.01,
    law: Law | None = None,
) -> Drive:
    """Run a solver on a problem, as a run would.

    Args:
        solver: the method.
        problem: the equation; see `easy_problem`.
        indices: which samples of the run.
        seed: of the run.
        batch: rows in one pass.
        budget: evaluations a sample may cost; the solver's own when absent.
        tolerance: loss below which a sample is a member.
        law: makes transitions from each member; None where members stay as they are found.

    Raises:
        ContractError: the solver makes steps without end that ask for nothing.
    """
    results: dict[int, Result] = {}
    steps: list[StepRecord] = []
    events = solve(
        problem,
        solver,
        indices,
        seed=seed,
        batch=batch,
        budget=solver.budget if budget is None else budget,
        tolerance=tolerance,
        law=law,
    )
    for event in events:
        if isinstance(event, Result):
            require(ENDLESS not in (event.error or ""), f"{event.error}", "steps with requests between them")
            results[event.index] = event
        elif isinstance(event, StepRecord):
            steps.append(event)
    return Drive(tuple(results[index] for index in sorted(results)), tuple(steps))


def easy_problem(outputs: int = 1, slope: float = 1.0, weight: float = 1.0) -> Problem:
    """A linear objective on the identity generator: the shortest move to the target is a straight line.

    Args:
        outputs: of the objective, at most 16.
        slope: length of each output's gradient.
        weight: lambda.
    """
    return Problem(_Identity(), _Linear(outputs, slope), NoRegularizer(), torch.full((outputs,), 0.5 * slope), weight)


def check_solver(solver: Solver, *, slope: float = 1.0) -> None:
    """Check that a solver keeps its contract.

    It solves linear problems with one and with three outputs and keeps the latent typical of the prior, ends when it is
    done and within its budget where nothing can be done, counts its steps, depends on `(seed, index)` alone, and does
    not fall over values that are not finite.

    Args:
        solver: what to check.
        slope: steepness of the problems; a fixed learning rate suits one better than another.

    Raises:
        ContractError: the solver breaks its contract.
    """
    run_all(solver_checks(solver, slope=slope))


def solver_checks(solver: Solver, *, slope: float = 1.0) -> list[Check]:
    """The checks of a solver, by name; see `check_solver`."""
    name = type(solver).__name__
    small = 1e-3 * slope**2

    def solves(outputs: int) -> None:
        problem = easy_problem(outputs, slope, solver.weight)
        _check_solves(solver, problem, small * solver.weight, f"{name}, {outputs} outputs,")

    def streams() -> None:
        _check_streams(solver, easy_problem(1, slope, solver.weight), small * solver.weight, name)

    return [
        Check("budget, weight and tolerance", lambda: _check_settings(solver, name)),
        Check("a linear problem with one output", lambda: solves(1)),
        Check("a linear problem with three outputs", lambda: solves(3)),
        Check("random numbers and rows", streams),
        Check("a problem without a solution", lambda: _check_budget(solver, slope, name)),
        Check("values that are not finite", lambda: _check_not_finite(solver, name)),
    ]


def _check_settings(solver: Solver, name: str) -> None:
    require(isinstance(solver, Solver), f"{name} is not a Solver", "a subclass of equidiff.Solver")
    _check_tolerance(solver, name)
    for attribute in ("budget", "weight"):
        value = getattr(solver, attribute, None)
        good = isinstance(value, int | float) and math.isfinite(value) and value > 0
        require(good, f"{name}.{attribute} is {value!r}", "a finite number above 0")


def _check_tolerance(solver: Solver, name: str) -> None:
    given = getattr(solver, "tolerance", None)
    good = isinstance(given, int | float | str)
    try:
        parse_tolerance(given if isinstance(given, int | float | str) else "")
    except UsageError:
        good = False
    require(good, f"{name}.tolerance is {given!r}", 'a loss above 0, or a part of a spread such as "8%"')


def _check_solves(solver: Solver, problem: Problem, tolerance: float, what: str) -> None:
    done = drive(solver, problem, indices=range(SAMPLES), tolerance=tolerance)
    for result in done.results:
        require(result.status != FAILED, f"{what} fails: {result.error}", "steps until the sample is solved")
        asked = "a solution of a linear problem within the solver's own budget (another `slope` may suit it better)"
        require(result.status == MEMBER, f"{what} ends without a solution", asked)
        assert result.answer is not None
        answer = result.answer
        require(len(answer.latents) == 1, f"{what} ends with {len(answer.latents)} rows", "steps of one row")
        norm = float(answer.latents.norm()) / math.sqrt(SIZE)
        problem_found = f"{what} ends at |z| = {norm:.2g} sqrt(d), though solutions are near its start"
        require(0.3 < norm < 2, problem_found, "latents that are typical of the prior")
        losses = [step.loss for step in done.steps if step.index == result.index]
        asked = "no step after the one whose loss is below the tolerance"
        require(all(loss >= tolerance for loss in losses[:-1]), f"{what} goes on when it is done", asked)
        numbers = [step.step for step in done.steps if step.index == result.index]
        require(numbers == list(range(len(numbers))), f"{what} numbers its steps {numbers}", "0, 1, 2, ...")


def _check_streams(solver: Solver, problem: Problem, tolerance: float, name: str) -> None:
    def latents(indices: Iterable[int], batch: int, torch_seed: int) -> list[Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(torch_seed)
            done = drive(solver, problem, indices=indices, batch=batch, tolerance=tolerance)
        return [result.answer.latents for result in done.results if result.answer is not None]

    together = latents(range(SAMPLES), SAMPLES, 1)
    asked = "randomness from `residual.draw` alone"
    again = latents(range(SAMPLES), SAMPLES, 2)
    require(all(map(torch.equal, together, again)), f"{name} gives another result when it is called again", asked)
    alone = latents([SAMPLES - 1], 1, 3)[0]
    asked = "samples that depend on (seed, index) alone: no state kept between samples"
    same = torch.allclose(alone, together[-1], atol=1e-4)
    require(same, f"{name} solves sample {SAMPLES - 1} otherwise alone than beside others", asked)


def _check_budget(solver: Solver, slope: float, name: str) -> None:
    hopeless = Problem(_Identity(), _Bounded(slope), NoRegularizer(), torch.tensor([9.0]), solver.weight)
    # as many as share their prior samples, so that each pays its own part of them
    done = drive(solver, hopeless, indices=range(16), budget=HOPELESS_BUDGET, tolerance=1e-3 * solver.weight)
    cost, error = max(result.cost.evaluations for result in done.results), done.results[0].error
    require(error is None, f"{name} fails where nothing can be solved: {error}", "a solver that gives up in silence")
    asked = "single requests that cost no more than the whole budget"
    require(cost <= 2 * HOPELESS_BUDGET, f"{name} spends {cost:.0f} of {HOPELESS_BUDGET} evaluations", asked)


def _check_not_finite(solver: Solver, name: str) -> None:
    broken = Problem(_Identity(), _NotFinite(), NoRegularizer(), torch.tensor([0.5]), solver.weight)
    error = drive(solver, broken, budget=HOPELESS_BUDGET).results[0].error
    known = error is None or error == "the loss is not finite"
    require(known, f"{name} raises where losses are not finite: {error}", "a solver that ends there")


@final
class _Identity(Generator):
    latent_shape = (SIZE,)
    sample_shape = (SIZE,)

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        return latents * 1.0


@final
class _Linear(Objective):
    unit = "value"

    def __init__(self, outputs: int, slope: float) -> None:
        self.names = tuple(f"y{index}" for index in range(outputs))
        directions = torch.linalg.qr(torch.randn(SIZE, outputs, generator=torch.Generator().manual_seed(0))).Q
        self._matrix = slope * directions

    def measure(self, samples: Samples) -> Measurements:
        return samples @ self._matrix


@final
class _Bounded(Objective):
    names = ("y",)
    unit = "value"

    def __init__(self, slope: float) -> None:
        self._slope = slope

    def measure(self, samples: Samples) -> Measurements:
        return torch.tanh(self._slope * samples.mean(dim=1, keepdim=True))


@final
class _NotFinite(Objective):
    names = ("y",)
    unit = "value"

    def measure(self, samples: Samples) -> Measurements:
        return samples[:, :1] * torch.nan
