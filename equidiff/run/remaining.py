"""Estimate of the time that a search still takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

RECENT = 0.75  # of the time so far, in which the speed is measured: the first pass is often a fast one
POOLED = 4.0  # evaluations at the mean rate that a sample's own rate begins with
FIRST = 2.0  # members at the mean cost that the evaluations between two members begin with
STEEPEST = 60.0  # nats: a loss that is not finite counts as this far from the tolerance


@dataclass
class _Sample:
    """A sample: its distance from the tolerance in nats of the loss, and its cost in evaluations."""

    first: float
    gap: float
    spent: float
    before: float  # its first step
    reached: float | None = None  # the tolerance
    transitions: int = 0

    @property
    def closed(self) -> float:
        return max(self.first - self.gap, 0.0)

    @property
    def effort(self) -> float:
        """Evaluations between its first step and the tolerance."""
        return (self.spent if self.reached is None else self.reached) - self.before

    @property
    def moved(self) -> float:
        """Evaluations since it reached the tolerance."""
        return 0.0 if self.reached is None else self.spent - self.reached


@dataclass
class Remaining:
    """Estimates what is left from the progress of all samples, those under way included.

    Members come in bursts, the easy ones first, so their number alone says little. Two estimates err in opposite
    directions: what is left of the logarithm of the loss, at the rate at which it fell (too low where the last samples
    are the slow ones), and the mean number of evaluations between two members (too high before the first burst). Their
    geometric mean is used. Samples that wait are expected to cost as much as the mean of the others.

    Attributes:
        todo: number of samples to find.
        tolerance: loss below which a sample is a member.
        budget: evaluations that a sample may cost.
        transitions: that a law makes with each member.
    """

    todo: int
    tolerance: float
    budget: float = math.inf
    transitions: int = 0
    _active: dict[int, _Sample] = field(default_factory=dict)
    _finished: list[_Sample] = field(default_factory=list)
    _spent: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])  # seconds, evaluations until then

    def step(self, index: int, evaluations: float, loss: float, now: float) -> None:
        """A sample made a step.

        Args:
            index: of the sample.
            evaluations: that it has cost.
            loss: of the step.
            now: seconds since the search began.
        """
        gap = self._gap(loss)
        sample = self._active.setdefault(index, _Sample(gap, gap, evaluations, evaluations))
        sample.spent = evaluations
        if sample.reached is not None:
            sample.transitions += 1
        else:
            sample.gap = gap
            sample.reached = evaluations if gap == 0 else None
        self._note(now)

    def result(self, index: int, evaluations: float, now: float) -> None:
        """A sample is finished."""
        sample = self._active.pop(index, None) or _Sample(0.0, 0.0, evaluations, evaluations)
        sample.spent = evaluations
        self._finished.append(sample)
        self._note(now)

    @property
    def gaps(self) -> Sequence[float]:
        """Distance of each sample under way from the tolerance, in nats of the loss; 0 where it has reached it."""
        return [each.gap for each in self._active.values()]

    @property
    def levels(self) -> Sequence[float]:
        """How far each sample under way has come from its first loss to the tolerance, in [0, 1]."""
        return [each.closed / each.first if each.first else 1.0 for each in self._active.values()]

    def share(self) -> float:
        """Part of the work that is done, in [0, 1]."""
        left, spent = self.evaluations(), self._spent[-1][1]
        if left is None or spent + left == 0:
            return len(self._finished) / self.todo
        return spent / (spent + left)

    def seconds(self) -> float | None:
        """Seconds that are left; None where there is nothing yet to tell them from."""
        left = self.evaluations()
        if left is None:
            return None
        now, spent = self._spent[-1]
        since, before = next(each for each in reversed(self._spent) if each[0] <= now * (1 - RECENT))
        return left * (now - since) / (spent - before) if spent > before else None

    def evaluations(self) -> float | None:
        """Evaluations that are left, of all samples together; None where there is nothing yet to tell them from."""
        started = len(self._active) + len(self._finished)
        if len(self._finished) == self.todo:
            return 0.0
        search, law = self._search_left(), self._law_left()
        if search is None or law is None or not started:
            return None
        left = search + law
        spent = self._spent[-1][1]
        # between what the others have cost so far, and what they are expected to cost
        return left + (self.todo - started) * math.sqrt(spent * (spent + left)) / started

    def _search_left(self) -> float | None:
        """Evaluations until all samples under way have reached the tolerance."""
        everyone = [*self._active.values(), *self._finished]
        searching = [each for each in self._active.values() if each.reached is None]
        effort, closed = sum(each.effort for each in everyone), sum(each.closed for each in everyone)
        if not searching:
            return 0.0
        if effort <= 0 or closed <= 0:
            return None
        rate = closed / effort
        own = [each.gap * (each.effort + POOLED) / (each.closed + POOLED * rate) for each in searching]
        mean = (effort + sum(own)) / len(everyone)
        per_member = (effort + FIRST * mean) / (len(everyone) - len(searching) + FIRST)
        budgets = [max(self.budget - each.spent, 0.0) for each in searching]
        return sum(min(math.sqrt(cost * per_member), most) for cost, most in zip(own, budgets, strict=True))

    def _law_left(self) -> float | None:
        """Evaluations that the law's transitions of all samples under way cost."""
        if not self.transitions:
            return 0.0
        everyone = [*self._active.values(), *self._finished]
        made = sum(each.transitions for each in everyone)
        if not made:
            return None
        to_make = sum(max(self.transitions - each.transitions, 0) for each in self._active.values())
        return to_make * sum(each.moved for each in everyone) / made

    def _gap(self, loss: float) -> float:
        if not math.isfinite(loss):
            return STEEPEST
        return max(math.log(loss / self.tolerance), 0.0) if loss > 0 else 0.0

    def _note(self, now: float) -> None:
        spent = sum(each.spent for each in self._active.values()) + sum(each.spent for each in self._finished)
        self._spent.append((now, spent))
