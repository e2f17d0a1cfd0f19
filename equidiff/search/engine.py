"""Runs a solver on many samples at once.

Every sample is a coroutine of its own. The engine gathers what the active ones ask for, computes it in batches, and
gives each its share; a finished sample leaves, a waiting one takes its place, so stragglers hold nobody up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Generator as Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from equidiff.contracts import Answer, Law, Moves, Request, ResidualFunction, Solver, Step
from equidiff.numerics.random import Stream
from equidiff.search.batching import BatchReduced, Method, Passes
from equidiff.search.candidates import Dealer
from equidiff.search.problem import Problem
from equidiff.search.starts import Start

MEMBER, NOT_CONVERGED, FAILED = "member", "not_converged", "failed"
# what goes along with each row of a request of such a kind
ALONG: dict[str, Callable[[Request], Any]] = {"pull": lambda request: request.weigh, "retrace": lambda r: r.moved}


@dataclass
class Cost:
    """Passes through generator and objective for one sample.

    One evaluation is a forward and a backward pass; a backward pass costs about two forward ones, so a forward pass
    alone is a third of an evaluation, and a backward pass two thirds.
    """

    forwards: float = 0  # a share of a pass where neighbours share it, or where the sampler makes fewer steps
    backwards: float = 0
    unshared: float = 0  # of the forward passes, those paid because there were fewer than sixteen neighbours

    @property
    def evaluations(self) -> float:
        """The cost in evaluations."""
        return (self.forwards + 2 * self.backwards) / 3

    @property
    def charged(self) -> float:
        """What counts against the budget: a sample's path may not depend on how many neighbours it has."""
        return self.evaluations - self.unshared / 3


@dataclass(frozen=True)
class StepRecord:
    """One iteration of one sample, as written to `steps.jsonl`."""

    index: int
    step: int
    evaluations: float
    loss: float


@dataclass(frozen=True)
class Result:
    """A sample that its solver is done with.

    Attributes:
        index: which sample of the run.
        status: "member", "not_converged" or "failed".
        steps: iterations made.
        cost: what they cost.
        answer: where the solver ended, one row, on the CPU; None where it failed before its first step.
        wall_s: seconds between its start and its end, shared with the samples that ran beside it.
        error: why it failed.
        moves: what the law did; None where it made no moves.
    """

    index: int
    status: str
    steps: int
    cost: Cost
    answer: Answer | None
    wall_s: float
    error: str | None = None
    moves: Moves | None = None


class _Residual(ResidualFunction):
    """c(z) of one sample: its tolerance and its own stream of latents."""

    def __init__(self, problem: Problem, tolerance: float, seed: int, index: int, start: Start | None = None) -> None:
        self.tolerance, self.size, self.midway = tolerance, problem.size, problem.rest is not None
        self._index, self._start = index, start
        self._shape = problem.generator.latent_shape
        self._device = problem.target.device
        self._random = Stream.SAMPLE.open(seed, index)

    def draw(self, count: int) -> Tensor:
        # drawn on the CPU: the same latents on every device
        prior = torch.randn(count, *self._shape, generator=self._random)
        return (prior if self._start is None else self._start.bend(prior, self._index)).to(self._device)


class _Task:
    """One sample under way."""

    def __init__(self, index: int, solver: Solver, law: Law | None, residual: _Residual, budget: float) -> None:
        self.index = index
        self.request: Request | None = None
        self.cost = Cost()
        self._tolerance, self._budget = residual.tolerance, budget
        self._last: Step | None = None
        self._moves: Moves | None = None
        self._course = self._begin(solver, law, residual)
        self._started = time.monotonic()

    def _begin(self, solver: Solver, law: Law | None, residual: _Residual) -> Coroutine[Request | Step, Any, None]:
        yield from solver.solve(residual.draw(1), residual, self._budget)
        if law is not None and self._last is not None and self._is_member(self._last.answer):
            self._budget = math.inf  # how many moves there are, the law was told: they are counted, not limited
            self._moves = yield from law.move(self._last, residual)

    def advance(self, answer: Answer | None) -> Iterator[StepRecord | Result]:
        """Give the coroutine its answer and run it to its next request, or to its end."""
        self.request = None
        try:
            while True:
                item = self._course.send(answer)
                answer = None
                if isinstance(item, Request):
                    if self.cost.charged >= self._budget:
                        self._course.close()
                        break
                    self.request = item
                    return
                self._last = item
                yield StepRecord(self.index, item.number, self.cost.evaluations, item.answer.loss.item())
        except StopIteration:
            pass
        except Exception as error:  # one sample's trouble must not end the others
            yield self._result(f"{type(error).__name__}: {error}")
            return
        yield self._result(None)

    def _is_member(self, answer: Answer) -> bool:
        return answer.loss.item() < self._tolerance

    def _result(self, error: str | None) -> Result:
        answer = None if self._last is None else _on_cpu(self._last.answer)
        if error is None and (answer is None or not bool(answer.loss.isfinite())):
            error = "the solver made no step" if answer is None else "the loss is not finite"
        status = FAILED
        if error is None and answer is not None:
            status = MEMBER if self._is_member(answer) else NOT_CONVERGED
        steps = 0 if self._last is None else self._last.number
        wall_s = time.monotonic() - self._started
        return Result(self.index, status, steps, self.cost, answer, wall_s, error, self._moves)


def solve(
    problem: Problem,
    solver: Solver,
    indices: Iterable[int],
    *,
    seed: int,
    batch: int,
    budget: float,
    tolerance: float,
    start: Start | None = None,
    law: Law | None = None,
) -> Iterator[StepRecord | Result | BatchReduced]:
    """Solve samples, `batch` of them at a time, and yield their steps and results as they come.

    Sample i depends on `(seed, i)` alone. A pass that runs out of memory is done again in halves, which is told.

    Args:
        problem: the equation.
        solver: the method.
        indices: which samples, each a number >= 0.
        seed: of the run.
        batch: rows in one pass through generator and objective.
        budget: evaluations each sample may cost, not counting the law's.
        tolerance: loss below which a sample is a member.
        start: where samples start; from the prior when absent.
        law: what follows the search for each member; nothing when absent.
    """
    indices = list(indices)
    passes = Passes(batch)
    dealer = Dealer(problem, indices, seed, passes, start)
    waiting = iter(indices)
    active: list[_Task] = []
    answers: dict[int, Answer] = {}
    while True:
        for task in active:
            yield from task.advance(answers[task.index])
        active = [task for task in active if task.request is not None]
        while len(active) < batch and (index := next(waiting, None)) is not None:
            residual = _Residual(problem, tolerance, seed, index, start)
            task = _Task(index, solver, law, residual, budget)
            yield from task.advance(None)
            if task.request is not None:
                active.append(task)
        if not active:
            return
        answers = _answer_all(problem, active, passes, dealer)
        yield from passes.news
        passes.news.clear()


def _answer_all(problem: Problem, tasks: list[_Task], passes: Passes, dealer: Dealer) -> dict[int, Answer]:
    """Compute all pending requests, those of one kind together."""
    answers: dict[int, Answer] = {}
    alike: dict[tuple[str, int | None, bool], list[tuple[_Task, Request]]] = {}
    for task in tasks:
        request = task.request
        if request is None:
            continue
        if request.kind == "pool":
            answers[task.index], share = dealer.deal(task.index, request.count, request.steps)
            depth = _depth(problem, request)
            task.cost.forwards += depth * share
            task.cost.unshared += depth * (share - request.count)
        else:
            alike.setdefault((request.kind, request.steps, request.midway), []).append((task, request))
    for (kind, steps, midway), asking in sorted(alike.items(), key=lambda item: str(item[0])):
        latents = torch.cat([request.latents for _, request in asking])
        along = [ALONG[kind](request) for _, request in asking for _ in request.latents] if kind in ALONG else None
        answer = passes.compute(_method(problem, kind, steps, midway), latents, along)
        answers |= _hand_out(answer, asking, problem)
    return answers


def _method(problem: Problem, kind: str, steps: int | None, midway: bool) -> Method:
    """What computes the answers to such requests."""
    if kind in {"begin", "retrace"}:
        return getattr(problem, kind)
    if midway:
        assert problem.rest is not None  # solvers were told whether there is
        return getattr(problem.rest, kind)
    return partial(getattr(problem, kind), steps=steps)


def _hand_out(answer: Answer, asking: list[tuple[_Task, Request]], problem: Problem) -> dict[int, Answer]:
    """To each task its rows, and what they cost."""
    shares: dict[int, Answer] = {}
    start = 0
    for task, request in asking:
        rows = len(request.latents)
        share = shares[task.index] = answer.rows(start, start + rows)
        start += rows
        outputs = share.residuals.shape[1]
        whole = {"gradient": 1, "jacobian": outputs, "pull": 1}.get(request.kind, 0)
        depth = _depth(problem, request)
        task.cost.forwards += depth * rows
        task.cost.backwards += depth * rows * whole
        if request.kind in {"sensitivity", "pull"}:
            task.cost.backwards += rows * outputs * problem.objective_share
        if request.kind == "retrace":
            task.cost.forwards += rows * problem.retrace_share
    return shares


def _depth(problem: Problem, request: Request) -> float:
    """What a pass costs, as a share of one through the whole sampler with the generator's own number of steps."""
    if request.midway:
        return problem.rest_share
    usual = problem.generator.steps
    return 1.0 if request.steps is None or usual is None else request.steps / usual


def _on_cpu(answer: Answer) -> Answer:
    return Answer(**{name: v.cpu() if isinstance(v, Tensor) else v for name, v in vars(answer).items()})
