"""Runs a solver on many samples at once.

Every sample is a coroutine of its own. The engine gathers what the active ones ask for, computes it in batches, and
gives each its share; a finished sample leaves, a waiting one takes its place, so stragglers hold nobody up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from equidiff.contracts import (
    Answer,
    Candidates,
    ContinuousResidual,
    Coroutine,
    Law,
    PassRequest,
    Request,
    ResidualFunction,
    Solver,
    Step,
    Transitions,
)
from equidiff.numerics.random import Stream
from equidiff.search.batching import BatchReduced, Passes
from equidiff.search.candidate_pool import CandidatePool
from equidiff.search.problem import Problem
from equidiff.search.settle import settle
from equidiff.search.starts import Start

MEMBER, NOT_CONVERGED, FAILED = "member", "not_converged", "failed"


@dataclass
class Cost:
    """Passes through generator and objective for one sample.

    One evaluation is a forward and a backward pass; a backward pass costs about two forward ones, so a forward pass
    alone is a third of an evaluation, and a backward pass two thirds.
    """

    forwards: float = 0  # a share of a pass where a block shares it, or where the sampler makes fewer steps
    backwards: float = 0
    unshared: float = 0  # of the forward passes, those paid because its block has fewer than sixteen samples

    @property
    def evaluations(self) -> float:
        """The cost in evaluations."""
        return (self.forwards + 2 * self.backwards) / 3

    @property
    def charged(self) -> float:
        """Evaluations held against the budget, which must not depend on the size of the sample's block."""
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
    """A finished sample.

    Attributes:
        index: of the sample in the run.
        status: "member", "not_converged" or "failed".
        steps: iterations made.
        cost: of these.
        answer: of the last step, one row, on the CPU; None where it failed before its first.
        wall_s: seconds between its start and its end, shared with the samples that ran beside it.
        error: the reason for a failure.
        transitions: of the law; None where it made none.
    """

    index: int
    status: str
    steps: int
    cost: Cost
    answer: Answer | None
    wall_s: float
    error: str | None = None
    transitions: Transitions | None = None


class _Residual(ResidualFunction):
    """c(z) of one sample: its tolerance and its own stream of latents."""

    def __init__(self, problem: Problem, tolerance: float, seed: int, index: int, start: Start | None = None) -> None:
        self.tolerance, self.size, self.splittable = tolerance, problem.size, problem.tail is not None
        self.rounded = problem.saved
        self._index, self._start = index, start
        self._shape = problem.generator.latent_shape
        self._device = problem.target.device
        self._random = Stream.SAMPLE.open(seed, index)

    def draw(self, count: int) -> Tensor:
        # drawn on the CPU: the same latents on every device
        prior = torch.randn(count, *self._shape, generator=self._random)
        return (prior if self._start is None else self._start.transform(prior, self._index)).to(self._device)


class _Task:
    """One sample under way."""

    def __init__(self, index: int, solver: Solver, law: Law | None, residual: _Residual, budget: float) -> None:
        self.index = index
        self.request: Request | None = None
        self.cost = Cost()
        self._tolerance, self._budget = residual.tolerance, budget
        self._last: Step | None = None
        self._transitions: Transitions | None = None
        self._coroutine = self._begin(solver, law, residual)
        self._started = time.monotonic()

    def _begin(self, solver: Solver, law: Law | None, residual: _Residual) -> Coroutine[None]:
        yield from solver.solve(residual.draw(1), residual, self._budget)
        if law is not None and self._last is not None and self._is_member(self._last.answer):
            self._budget = math.inf  # the law was told how many transitions to make: they are counted, not limited
            smooth = ContinuousResidual(residual) if residual.rounded else residual
            self._transitions = yield from law.sample(self._last, smooth)
            if residual.rounded and self._transitions is not None:
                yield from settle(self._last, residual)

    def advance(self, answer: Answer | None) -> Iterator[StepRecord | Result]:
        """Give the coroutine its answer and run it to its next request, or to its end."""
        self.request = None
        try:
            while True:
                item = self._coroutine.send(answer)
                answer = None
                if isinstance(item, Request):
                    if self.cost.charged >= self._budget:
                        self._coroutine.close()
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
        answer = None if self._last is None else self._last.answer.cpu()
        if error is None and (answer is None or not bool(answer.loss.isfinite())):
            error = "the solver made no step" if answer is None else "the loss is not finite"
        status = FAILED
        if error is None and answer is not None:
            status = MEMBER if self._is_member(answer) else NOT_CONVERGED
        steps = 0 if self._last is None else self._last.number
        wall_s = time.monotonic() - self._started
        return Result(self.index, status, steps, self.cost, answer, wall_s, error, self._transitions)


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

    Sample i depends on `(seed, i)` alone. A pass that runs out of memory is repeated in halves, which is
    reported.

    Args:
        problem: the equation.
        solver: the method.
        indices: of the samples, each a number >= 0.
        seed: of the run.
        batch: rows in one pass through generator and objective.
        budget: evaluations each sample may cost, not counting the law's.
        tolerance: loss below which a sample is a member.
        start: of the samples; the prior when None.
        law: the distribution of the members; as solved when None.
    """
    indices = list(indices)
    passes = Passes(batch)
    pool = CandidatePool(problem, indices, seed, passes, start)
    waiting = iter(indices)
    active: list[_Task] = []
    answers: dict[int, Answer] = {}
    while True:
        for task in active:
            yield from task.advance(answers[task.index])
            if task.request is None:
                pool.finish(task.index)
        active = [task for task in active if task.request is not None]
        while len(active) < batch and (index := next(waiting, None)) is not None:
            residual = _Residual(problem, tolerance, seed, index, start)
            task = _Task(index, solver, law, residual, budget)
            yield from task.advance(None)
            if task.request is None:
                pool.finish(index)
            else:
                active.append(task)
        if not active:
            return
        answers = _answer_all(problem, active, passes, pool)
        yield from passes.news
        passes.news.clear()


def _answer_all(problem: Problem, tasks: list[_Task], passes: Passes, pool: CandidatePool) -> dict[int, Answer]:
    """Compute all pending requests, those that may share a pass together."""
    answers: dict[int, Answer] = {}
    groups: dict[Hashable, list[tuple[_Task, PassRequest]]] = {}
    for task in tasks:
        request = task.request
        if isinstance(request, Candidates):
            answers[task.index], share = pool.share(task.index, request)
            depth = problem.depth(request.steps)
            task.cost.forwards += depth * share
            task.cost.unshared += depth * (share - request.count)
        elif isinstance(request, PassRequest):
            groups.setdefault(request.key, []).append((task, request))
    for group in groups.values():
        answer = passes.compute(PassRequest.join([request for _, request in group]), problem).with_loss_on_cpu()
        answers |= _hand_out(answer, group, problem)
    return answers


def _hand_out(answer: Answer, group: list[tuple[_Task, PassRequest]], problem: Problem) -> dict[int, Answer]:
    """Give each task its rows, and charge their cost to it."""
    shares: dict[int, Answer] = {}
    start = 0
    for task, request in group:
        stop = start + len(request.latents)
        shares[task.index] = answer.rows(start, stop)
        start = stop
        forwards, backwards = request.cost(problem)
        task.cost.forwards += forwards
        task.cost.backwards += backwards
    return shares
