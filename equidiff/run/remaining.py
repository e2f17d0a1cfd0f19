"""Estimate of the time that a search still takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

RECENT = 0.75  # of the time so far, in which the speed is measured: the first pass is often a fast one
POOLED = 4.0  # evaluations at the mean rate that a sample's own rate begins with
FIRST = 2.0  # members at the mean cost that the evaluations between two members begin with
APART = 1.01  # moments in the past that are remembered lie so far apart: a day needs a thousand or two of them
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
class _Totals:
    """Sums over finished samples, of which nothing else is needed: a run may have a million of them."""

    count: int = 0
    effort: float = 0.0
    closed: float = 0.0
    moved: float = 0.0
    transitions: int = 0

    def add(self, sample: _Sample) -> None:
        self.count += 1
        self.effort += sample.effort
        self.closed += sample.closed
        self.moved += sample.moved
        self.transitions += sample.transitions


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
    _finished: _Totals = field(default_factory=_Totals)
    _spent: float = 0.0  # evaluations until now
    _now: float = 0.0
    _before: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)])  # the same, at some moments

    def step(self, index: int, evaluations: float, loss: float, now: float) -> None:
        """A sample made a step.

        Args:
            index: of the sample.
            evaluations: that it has cost.
            loss: of the step.
            now: seconds since the search began.
        """
        gap = self._gap(loss)
        sample = self._active.setdefault(index, _Sample(gap, gap, 0.0, evaluations))
        self._spend(sample, evaluations, now)
        if sample.reached is not None:
            sample.transitions += 1
        else:
            sample.gap = gap
            sample.reached = evaluations if gap == 0 else None

    def result(self, index: int, evaluations: float, now: float) -> None:
        """A sample is finished."""
        sample = self._active.pop(index, None) or _Sample(0.0, 0.0, 0.0, evaluations)
        self._spend(sample, evaluations, now)
        self._finished.add(sample)

    @property
    def is_done(self) -> bool:
        """True where all samples are finished."""
        return self._finished.count == self.todo

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
        left = self.evaluations()
        if left is None or self._spent + left == 0:
            return self._finished.count / self.todo
        return self._spent / (self._spent + left)

    def seconds(self) -> float | None:
        """Seconds that are left; None where there is nothing yet to tell them from."""
        left = self.evaluations()
        if left is None:
            return None
        since, before = next(each for each in reversed(self._before) if each[0] <= self._now * (1 - RECENT))
        return left * (self._now - since) / (self._spent - before) if self._spent > before else None

    def evaluations(self) -> float | None:
        """Evaluations that are left, of all samples together; None where there is nothing yet to tell them from."""
        started = len(self._active) + self._finished.count
        if self.is_done:
            return 0.0
        search, law = self._search_left(), self._law_left()
        if search is None or law is None or not started:
            return None
        left = search + law
        # between what the others have cost so far, and what they are expected to cost
        return left + (self.todo - started) * math.sqrt(self._spent * (self._spent + left)) / started

    def _search_left(self) -> float | None:
        """Evaluations until all samples under way have reached the tolerance."""
        active, finished = self._active.values(), self._finished
        searching = [each for each in active if each.reached is None]
        effort = finished.effort + sum(each.effort for each in active)
        closed = finished.closed + sum(each.closed for each in active)
        count = finished.count + len(active)
        if not searching:
            return 0.0
        if effort <= 0 or closed <= 0:
            return None
        rate = closed / effort
        own = [each.gap * (each.effort + POOLED) / (each.closed + POOLED * rate) for each in searching]
        mean = (effort + sum(own)) / count
        per_member = (effort + FIRST * mean) / (count - len(searching) + FIRST)
        budgets = [max(self.budget - each.spent, 0.0) for each in searching]
        return sum(min(math.sqrt(cost * per_member), most) for cost, most in zip(own, budgets, strict=True))

    def _law_left(self) -> float | None:
        """Evaluations that the law's transitions of all samples under way cost."""
        if not self.transitions:
            return 0.0
        active = self._active.values()
        made = self._finished.transitions + sum(each.transitions for each in active)
        if not made:
            return None
        to_make = sum(max(self.transitions - each.transitions, 0) for each in active)
        return to_make * (self._finished.moved + sum(each.moved for each in active)) / made

    def _gap(self, loss: float) -> float:
        if not math.isfinite(loss):
            return STEEPEST
        return max(math.log(loss / self.tolerance), 0.0) if loss > 0 else 0.0

    def _spend(self, sample: _Sample, evaluations: float, now: float) -> None:
        """Note what a sample has cost until now."""
        if now > self._now > APART * self._before[-1][0]:
            self._before.append((self._now, self._spent))
        self._spent += evaluations - sample.spent
        self._now, sample.spent = now, evaluations
