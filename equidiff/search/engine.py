"""Runs a solver on many samples at once.

Every sample is a coroutine of its own. The engine gathers what the active ones ask for, computes it in batches, and
gives each its share; a finished sample leaves, a waiting one takes its place, so stragglers hold nobody up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Container, Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from equidiff.contracts import (
    Answer,
    Candidates,
    ContinuousResidual,
    Coroutine,
    Law,
    PassRequest,
    Request,
    Solver,
    Step,
    Transitions,
)
from equidiff.search.attempt import reason
from equidiff.search.batching import BatchReduced, Passes, width_of
from equidiff.search.candidate_pool import CandidatePool
from equidiff.search.problem import Problem
from equidiff.search.residual import SampleResidual
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


class _Task:
    """One sample under way."""

    def __init__(self, index: int, solver: Solver, law: Law | None, residual: SampleResidual, budget: float) -> None:
        self.index = index
        self.request: Request | None = None
        self.cost = Cost()
        self._tolerance, self._budget = residual.tolerance, budget
        self._last: Step | None = None
        self._transitions: Transitions | None = None
        self._coroutine = self._begin(solver, law, residual)
        self._started = time.monotonic()

    def _begin(self, solver: Solver, law: Law | None, residual: SampleResidual) -> Coroutine[None]:
        yield from solver.solve(residual.draw(1), residual, self._budget)
        if law is not None and self._last is not None and self._is_member(self._last.answer):
            self._budget = math.inf  # the law was told how many transitions to make: they are counted, not limited
            smooth = ContinuousResidual(residual) if residual.rounded else residual
            self._transitions = yield from law.sample(self._last, smooth)
            if residual.rounded and self._transitions is not None:
                yield from settle(self._last, residual)

    def advance(self, answer: Answer | BaseException | None) -> Iterator[StepRecord | Result]:
        """Give the coroutine its answer and run it to its next request, or to its end; an error is its end."""
        self.request = None
        if isinstance(answer, BaseException):
            self._coroutine.close()
            yield self._result(reason(answer))
            return
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
            yield self._result(reason(error))
            return
        yield self._result(None)

    def _is_member(self, answer: Answer) -> bool:
        return answer.loss.item() < self._tolerance

    def _result(self, error: str | None) -> Result:
        answer = None if self._last is None else self._last.answer.cpu()
        error = error or _fault(answer)
        status = FAILED
        if error is None and answer is not None:
            status = MEMBER if self._is_member(answer) else NOT_CONVERGED
        steps = 0 if self._last is None else self._last.number
        wall_s = time.monotonic() - self._started
        return Result(self.index, status, steps, self.cost, answer, wall_s, error, self._transitions)


def _fault(answer: Answer | None) -> str | None:
    """The reason for which a sample that ended like this has failed; None where there is none."""
    if answer is None:
        return "the solver made no step"
    values = {
        "loss": answer.loss,
        "measurement": answer.measurements,
        "sample": answer.samples,
        "latent": answer.latents,
    }
    return next((f"the {name} is not finite" for name, value in values.items() if not value.isfinite().all()), None)


Answers = dict[int, Answer | BaseException]  # by the index of the sample
Group = list[tuple[_Task, PassRequest]]  # requests that may share a pass


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
    asked: Container[int] | None = None,
    time_limit: float | None = None,
) -> Iterator[StepRecord | Result | BatchReduced]:
    """Solve samples, `batch` of them at a time, and yield their steps and results as they come.

    Sample i depends on `(seed, i)` alone. A pass that runs out of memory is repeated in halves, which is
    reported. One that raises another error is repeated row by row, and ends the samples of the rows that raise it.

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
        asked: the samples of the whole run, whose blocks share the cost of candidates; `indices` when None.
        time_limit: seconds that a pass of one row may take; no limit when None.

    Raises:
        Exception: a component raises it for prior samples, too, or not even one row fits into memory.
    """
    indices = list(indices)
    passes = Passes(batch, width_of(problem), time_limit)
    pool = CandidatePool(problem, indices, set(indices) if asked is None else asked, seed, passes, start)
    waiting = iter(indices)
    active: list[_Task] = []
    answers: Answers = {}
    while True:
        for task in active:
            if task.index in answers:
                yield from task.advance(answers[task.index])
        active = _under_way(active, pool)
        while len(active) < batch and (index := next(waiting, None)) is not None:
            residual = SampleResidual(problem, tolerance, seed, index, start)
            task = _Task(index, solver, law, residual, budget)
            yield from task.advance(None)
            active += _under_way([task], pool)
        if not active:
            return
        answers = _answer_some(problem, active, passes, pool)
        yield from passes.news
        passes.news.clear()


def _under_way(tasks: list[_Task], pool: CandidatePool) -> list[_Task]:
    """Those of the tasks that are not finished."""
    for task in tasks:
        if task.request is None:
            pool.finish(task.index)
    return [task for task in tasks if task.request is not None]


def _answer_some(problem: Problem, tasks: list[_Task], passes: Passes, pool: CandidatePool) -> Answers:
    """Compute pending requests, those that may share a pass together.

    Where all passes have the same size, those that do not fill one wait for others to join them.
    """
    answers: Answers = {}
    groups: dict[Hashable, Group] = {}
    for task in tasks:
        request = task.request
        if isinstance(request, Candidates):
            answers[task.index], share = pool.share(task.index, request)
            depth = problem.depth(request.steps)
            task.cost.forwards += depth * share
            task.cost.unshared += depth * (share - request.count)
        elif isinstance(request, PassRequest):
            groups.setdefault(request.key, []).append((task, request))
    for group in groups.values() if passes.width is None else _worth_computing(list(groups.values()), passes.rows):
        answers |= _compute(group, problem, passes)
    return answers


def _worth_computing(groups: list[Group], rows: int) -> list[Group]:
    """Of each group as many requests as fill whole passes; the largest group, where none fills one."""
    full = [group[: _filling(group, rows)] for group in groups]
    return [group for group in full if group] or sorted(groups, key=_size)[-1:]


def _filling(group: Group, rows: int) -> int:
    """How many requests of a group, from the first on, fill whole passes."""
    sizes = accumulate(len(request.latents) for _, request in group)
    return max((number for number, size in enumerate(sizes, 1) if size % rows == 0), default=0)


def _size(group: Group) -> int:
    return sum(len(request.latents) for _, request in group)


def _compute(group: Group, problem: Problem, passes: Passes) -> Answers:
    """Give each task of a group its rows, or the error of one of them, and charge their cost to it."""
    answer, failures = passes.compute(PassRequest.join([request for _, request in group]), problem)
    answer = None if answer is None else answer.with_loss_on_cpu()
    shares: Answers = {}
    start = 0
    for task, request in group:
        stop = start + len(request.latents)
        failed = [failures[row] for row in range(start, stop) if row in failures]
        # a row without an answer has failed
        shares[task.index] = failed[0] if failed or answer is None else answer.rows(start, stop)
        start = stop
        forwards, backwards = request.cost(problem)
        task.cost.forwards += forwards
        task.cost.backwards += backwards
    return shares
