"""Runs a solver on many samples at once.

Every sample is a coroutine of its own. The engine gathers what the active ones ask for, computes it in batches, and
gives each its share; a finished sample leaves, a waiting one takes its place, so stragglers hold nobody up.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Generator as Coroutine
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from equidiff.contracts import Answer, Request, ResidualFunction, Solver, Step
from equidiff.problem import Problem

NEIGHBOURS = 16  # samples that share plain samples
ROWS = 4  # kernels sum in another order for other numbers of rows, but for multiples of this they mostly agree
MEMBER, NOT_CONVERGED, FAILED = "member", "not_converged", "failed"


@dataclass
class Cost:
    """Passes through generator and objective for one sample.

    One evaluation is a forward and a backward pass; a backward pass costs about two forward ones, so a forward pass
    alone is a third of an evaluation, and a backward pass two thirds.
    """

    forwards: float = 0  # a share of a pass where neighbours share it
    backwards: int = 0
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
    """

    index: int
    status: str
    steps: int
    cost: Cost
    answer: Answer | None
    wall_s: float
    error: str | None = None


def _stream(*key: int) -> torch.Generator:
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))


class _Residual(ResidualFunction):
    """c(z) of one sample: its tolerance and its own stream of latents."""

    def __init__(self, problem: Problem, tolerance: float, seed: int, index: int) -> None:
        self.tolerance = tolerance
        self._shape = problem.generator.latent_shape
        self._device = problem.target.device
        self._random = _stream(seed, index)

    def draw(self, count: int) -> Tensor:
        # drawn on the CPU: the same latents on every device
        return torch.randn(count, *self._shape, generator=self._random).to(self._device)


class _Dealer:
    """Shares plain samples among neighbours; see `ResidualFunction.pool`."""

    def __init__(self, problem: Problem, indices: list[int], seed: int, batch: int) -> None:
        self._problem, self._seed, self._batch = problem, seed, batch
        self._neighbours = Counter(index // NEIGHBOURS for index in indices)
        self._decks: dict[tuple[int, int, int], Answer] = {}
        self._rounds: Counter[tuple[int, int]] = Counter()

    def deal(self, index: int, count: int) -> tuple[Answer, float]:
        """The hand of one sample, and its share of the forward passes."""
        block, seat = divmod(index, NEIGHBOURS)
        turn = self._rounds[index, count]
        self._rounds[index, count] += 1
        deck = (block, turn, count)
        if deck not in self._decks:
            self._decks[deck] = self._shuffle(deck)
        # back and forth, and another first seat with each deck: nobody always gets the worst
        seat = (seat + 5 * turn) % NEIGHBOURS
        hand = [NEIGHBOURS * card + (NEIGHBOURS - 1 - seat if card % 2 else seat) for card in range(count)]
        return self._decks[deck].pick(hand), NEIGHBOURS * count / self._neighbours[block]

    def _shuffle(self, deck: tuple[int, int, int]) -> Answer:
        shape = self._problem.generator.latent_shape
        # the fourth number keeps these streams apart from those of the samples, which have two
        latents = torch.randn(NEIGHBOURS * deck[2], *shape, generator=_stream(self._seed, *deck, 1))
        chunks = latents.to(self._problem.target.device).split(self._batch)
        answer = _joined([_padded(self._problem.value, chunk, self._batch) for chunk in chunks])
        return answer.pick(answer.loss.nan_to_num(nan=torch.inf).argsort(stable=True).tolist())


class _Task:
    """One sample under way."""

    def __init__(
        self, index: int, solver: Solver, problem: Problem, seed: int, budget: float, tolerance: float
    ) -> None:
        residual = _Residual(problem, tolerance, seed, index)
        self.index = index
        self.request: Request | None = None
        self.cost = Cost()
        self._tolerance, self._budget = tolerance, budget
        self._last: Step | None = None
        self._steps: Coroutine[Request | Step, Any, None] = solver.solve(residual.draw(1), residual, budget)
        self._started = time.monotonic()

    def advance(self, answer: Answer | None) -> Iterator[StepRecord | Result]:
        """Give the coroutine its answer and run it to its next request, or to its end."""
        self.request = None
        try:
            while True:
                item = self._steps.send(answer)
                answer = None
                if isinstance(item, Request):
                    if self.cost.charged >= self._budget:
                        self._steps.close()
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

    def _result(self, error: str | None) -> Result:
        answer = None if self._last is None else _on_cpu(self._last.answer)
        if error is None and (answer is None or not bool(answer.loss.isfinite())):
            error = "the solver made no step" if answer is None else "the loss is not finite"
        if error is not None or answer is None:
            status = FAILED
        else:
            status = MEMBER if answer.loss.item() < self._tolerance else NOT_CONVERGED
        steps = 0 if self._last is None else self._last.number
        return Result(self.index, status, steps, self.cost, answer, time.monotonic() - self._started, error)


def solve(
    problem: Problem,
    solver: Solver,
    indices: Iterable[int],
    *,
    seed: int,
    batch: int,
    budget: float,
    tolerance: float,
) -> Iterator[StepRecord | Result]:
    """Solve samples, `batch` of them at a time, and yield their steps and results as they come.

    Sample i depends on `(seed, i)` alone.

    Args:
        problem: the equation.
        solver: the method.
        indices: which samples, each a number >= 0.
        seed: of the run.
        batch: rows in one pass through generator and objective.
        budget: evaluations each sample may cost.
        tolerance: loss below which a sample is a member.
    """
    indices = list(indices)
    dealer = _Dealer(problem, indices, seed, batch)
    waiting = iter(indices)
    active: list[_Task] = []
    answers: dict[int, Answer] = {}
    while True:
        for task in active:
            yield from task.advance(answers[task.index])
        active = [task for task in active if task.request is not None]
        while len(active) < batch and (index := next(waiting, None)) is not None:
            task = _Task(index, solver, problem, seed, budget, tolerance)
            yield from task.advance(None)
            if task.request is not None:
                active.append(task)
        if not active:
            return
        answers = _answer_all(problem, active, batch, dealer)


def _answer_all(problem: Problem, tasks: list[_Task], batch: int, dealer: _Dealer) -> dict[int, Answer]:
    """Compute all pending requests, those of one kind together, at most `batch` rows in a pass."""
    compute = {"value": problem.value, "gradient": problem.gradient, "jacobian": problem.jacobian}
    answers: dict[int, Answer] = {}
    for task in tasks:
        if task.request and task.request.kind == "pool":
            answers[task.index], share = dealer.deal(task.index, task.request.count)
            task.cost.forwards += share
            task.cost.unshared += share - task.request.count
    for kind, method in compute.items():
        asking = [(task, task.request.latents) for task in tasks if task.request and task.request.kind == kind]
        if not asking:
            continue
        rows = torch.cat([latents for _, latents in asking])
        pieces = _joined([_padded(method, chunk, batch) for chunk in rows.split(batch)])
        start = 0
        for task, latents in asking:
            share = pieces.rows(start, start + len(latents))
            start += len(latents)
            answers[task.index] = share
            task.cost.forwards += len(latents)
            task.cost.backwards += (
                len(latents) * {"value": 0, "gradient": 1, "jacobian": share.residuals.shape[1]}[kind]
            )
    return answers


def _padded(method: Callable[[Tensor], Answer], latents: Tensor, batch: int) -> Answer:
    """Compute with the last row repeated up to a multiple of `ROWS`, if the batch has room.

    Else rounding would depend on how many rows there are, and a long search would make a visible difference of it.
    """
    missing = -len(latents) % ROWS
    if missing == 0 or len(latents) + missing > batch:
        return method(latents)
    return method(torch.cat([latents, latents[-1:].expand(missing, *latents.shape[1:])])).rows(0, len(latents))


def _joined(answers: list[Answer]) -> Answer:
    if len(answers) == 1:
        return answers[0]
    names = [name for name, value in vars(answers[0]).items() if isinstance(value, Tensor)]
    return Answer(**{**vars(answers[0]), **{n: torch.cat([getattr(a, n) for a in answers]) for n in names}})


def _on_cpu(answer: Answer) -> Answer:
    return Answer(**{name: v.cpu() if isinstance(v, Tensor) else v for name, v in vars(answer).items()})
