"""Runs a solver on many samples at once.

Every sample is a coroutine of its own. The engine gathers what the active ones ask for, computes it in batches, and
gives each its share; a finished sample leaves, a waiting one takes its place, so stragglers hold nobody up.
"""

from __future__ import annotations

import math
import time
from collections.abc import Container, Hashable, Iterable, Iterator
from functools import partial

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
from equidiff.search.coroutines import checked_coroutine
from equidiff.search.problem import Problem
from equidiff.search.residual import SampleResidual
from equidiff.search.result import FAILED, MEMBER, NOT_CONVERGED, Cost, Result, StepRecord, fault
from equidiff.search.schedule import most_under_way, next_pass
from equidiff.search.settle import settle
from equidiff.search.starts import Start
from equidiff.search.supply import Banked, Supply


class _Task:
    """One sample under way."""

    def __init__(
        self,
        index: int,
        solver: Solver,
        law: Law | None,
        residual: SampleResidual,
        budget: float,
        banked: Banked | None = None,
    ) -> None:
        self.index = index
        self._banked = banked
        self.request: Request | None = None
        self.cost = Cost()
        self._tolerance, self._budget = residual.tolerance, budget
        self._last: Step | None = None
        self._nearest: Answer | None = None
        self._transitions: Transitions | None = None
        self._coroutine = self._begin(solver, law, residual)
        self._started = time.monotonic()

    def _begin(self, solver: Solver, law: Law | None, residual: SampleResidual) -> Coroutine[None]:
        if self._banked is None:
            solving = partial(solver.solve, residual.draw(1), residual, self._budget)
            yield from checked_coroutine(solving, f"{type(solver).__name__}.solve()")
        else:
            yield Step(0, self._banked.answer)
        if law is not None and self._last is not None and self._is_member(self._last.answer):
            self._budget = math.inf  # the law was told how many transitions to make: they are counted, not limited
            self._nearest = None
            smooth = ContinuousResidual(residual) if residual.rounded else residual
            sampling = partial(law.sample, self._last, smooth)
            self._transitions = yield from checked_coroutine(sampling, f"{type(law).__name__}.sample()")
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
                self._note(item.answer)
                yield StepRecord(self.index, item.number, self.cost.evaluations, item.answer.loss.item())
        except StopIteration:
            pass
        except Exception as error:  # one sample's trouble must not end the others
            yield self._result(reason(error))
            return
        yield self._result(None)

    def _note(self, answer: Answer) -> None:
        """Keep the answer, if it is the nearest to the target so far; a law's last one stands, wherever it is."""
        if self._budget == math.inf:
            return
        if self._nearest is None or answer.loss.item() < self._nearest.loss.item():
            self._nearest = answer

    def _is_member(self, answer: Answer) -> bool:
        return answer.loss.item() < self._tolerance

    def _shown(self) -> Answer | None:
        """The last answer, or the nearest to the target where that did not reach it; on the CPU."""
        if self._last is None:
            return None
        last = self._last.answer
        reached = self._is_member(last) or not math.isfinite(last.loss.item())  # one that is not finite has failed
        return (last if reached or self._nearest is None else self._nearest).cpu()

    def _result(self, error: str | None) -> Result:
        answer = self._shown()
        error = error or fault(answer)
        status = FAILED
        if error is None and answer is not None:
            status = MEMBER if self._is_member(answer) else NOT_CONVERGED
        steps = 0 if self._last is None else self._last.number
        wall_s = time.monotonic() - self._started
        banked = None if self._banked is None else self._banked.number
        return Result(self.index, status, steps, self.cost, answer, wall_s, error, self._transitions, banked)


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
    supply: Supply | None = None,
) -> Iterator[StepRecord | Result | BatchReduced]:
    """Solve samples, some passes' worth of them at a time, and yield their steps and results as they come.

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
        supply: members and starts from a bank; every sample is searched for, and starts from the prior, when None.

    Raises:
        Exception: a component raises it for prior samples, too, or not even one row fits into memory.
    """
    indices = list(indices)
    passes = Passes(batch, width_of(problem), time_limit)
    pool = CandidatePool(problem, indices, set(indices) if asked is None else asked, seed, passes, start, supply)
    waiting = iter(indices)
    active: list[_Task] = []
    answers: Answers = {}
    while True:
        for task in active:
            if task.index in answers:
                yield from task.advance(answers[task.index])
        active = _under_way(active, pool)
        while len(active) < most_under_way(problem, passes.rows) and (index := next(waiting, None)) is not None:
            residual = SampleResidual(problem, tolerance, seed, index, start)
            banked = None if supply is None else supply.take(index, tolerance, problem, passes)
            task = _Task(index, solver, law, residual, budget, banked)
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
    """Compute pending candidates, or else one pass of requests; the others wait for more to join them."""
    answers: Answers = {}
    groups: dict[Hashable, Group] = {}
    for task in tasks:
        request = task.request
        if isinstance(request, Candidates):
            answers[task.index], forwards, unshared = pool.share(task.index, request)
            task.cost.forwards += forwards
            task.cost.unshared += unshared
        elif isinstance(request, PassRequest):
            groups.setdefault(request.key, []).append((task, request))
    if not answers:
        answers = _compute(next_pass(list(groups.values()), passes.rows, problem), problem, passes)
    return answers


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
