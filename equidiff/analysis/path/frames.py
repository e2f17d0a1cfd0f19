"""Frames of a path while it is searched for: members found between members, and spread out evenly."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from equidiff.analysis.path.steps import Steps
from equidiff.builtin.solvers.auto import Auto
from equidiff.contracts import Answer, Coroutine, ResidualFunction, Solver, Step
from equidiff.numerics.gaussian import angle_between, slerp
from equidiff.run.execute import Observer, keep
from equidiff.run.record import Record
from equidiff.run.session import Session
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import MEMBER, Result, solve
from equidiff.search.starts import GivenStart
from equidiff.types import Latents

RADIUS = 0.1  # first trust radius: a path stays near the great circle
SHIFTS = (0.0, -0.3, 0.3, -0.6, 0.6)  # starts to try: on the great circle, or nearer to one of its ends
ROUNDS = 2  # of smoothing
UNEVEN = 1.25  # ratio of the steps on both sides of a frame, above which it is smoothed
HALVINGS = 5  # of one step at most, to see whether it is a jump
COSTS = ("evaluations", "forwards", "backwards", "wall_s")


@final
class _NearestMember(Solver):
    """Solver that takes the shortest steps onto the set, without restarts."""

    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        here: Answer = yield from residual.value(latents)
        yield Step(0, here)
        if here.loss.item() >= residual.tolerance:
            yield from Auto(radius=RADIUS).search(here, residual, itertools.count(1))


@dataclass
class Frame:
    """A frame in its current state."""

    record: Record
    rows: Mapping[str, Tensor]

    @property
    def is_member(self) -> bool:
        return self.record.status == MEMBER

    def angle_to(self, other: Frame) -> float:
        """Angle to another frame."""
        return angle_between(self.rows["latents"], other.rows["latents"])


class FrameSearch:
    """Frames of a path while it is searched for.

    Args:
        session: the run's components.
        observer: called for each attempt; may be None.
        last: number of the last frame.

    Attributes:
        frames: the frames so far, by number.
        evaluations: cost of all attempts.
    """

    def __init__(self, session: Session, observer: Observer | None, last: int) -> None:
        self._session = replace(session, start=None)
        self._observer, self._last = observer, last
        self.frames: dict[int, Frame] = {}
        self.evaluations = 0.0

    def set_end(self, frame: int, record: Record, rows: Mapping[str, Tensor]) -> None:
        """Set the frame at one end; its costs belong to the run, so here they are zero."""
        known = replace(record, index=frame, image=None, distance=None, start_angle=None, steps=0)
        self.frames[frame] = Frame(replace(known, evaluations=0, forwards=0, backwards=0, wall_s=0), rows)

    def fill(self) -> None:
        """Solve the frames between the ends."""
        for level in levels(self._last + 1):
            for shift in SHIFTS:
                left = [frame for frame in level if frame not in self.frames or not self.frames[frame].is_member]
                for frame, tried in self._solve({frame: self._between(frame, shift) for frame in left}):
                    self.frames[frame] = self._charged(frame, tried)

    def smooth(self) -> None:
        """Replace frames that are much nearer to one neighbour than to the other, if a better one is found."""
        for turn in range(2 * ROUNDS):
            uneven = [frame for frame in range(1 + turn % 2, self._last, 2) if self._is_uneven(frame)]
            for frame, tried in self._solve({frame: self._between(frame, 0) for frame in uneven}):
                before, after = self.frames[frame - 1], self.frames[frame + 1]
                here = self.frames[frame]
                better = tried.is_member and max(map(tried.angle_to, (before, after))) < max(
                    map(here.angle_to, (before, after))
                )
                charged = self._charged(frame, tried)
                self.frames[frame] = charged if better else Frame(_with_costs(here.record, charged.record), here.rows)

    def refine(self) -> None:
        """Halve steps that are jumps, and choose frames at even distances; a path with a gap keeps its frames there.

        The samples may differ although the latents are evenly spaced: a generator changes fast in some places.
        """
        chain = [self.frames[frame] for frame in range(self._last + 1)]
        if not all(frame.is_member for frame in chain) or not steps_between(chain).jumps:
            return
        halved = [0] * self._last
        for attempt in range(1, 2 * self._last + 1):
            steps = steps_between(chain).images
            open_ = [gap for gap in range(len(steps)) if halved[gap] < HALVINGS]
            gap = max(open_, key=lambda each: steps[each], default=None)
            if gap is None or steps[gap] <= sum(steps) / self._last:
                break
            middle = self._solve_middle(chain[gap], chain[gap + 1], self._last + attempt)
            halved[gap] = halved[gap] + 1 if middle.is_member else HALVINGS
            if middle.is_member:
                chain.insert(gap + 1, middle)
                halved.insert(gap, halved[gap])
        steps = steps_between(chain).images
        even = sum(steps) / self._last
        gaps = [count == HALVINGS and step > even for count, step in zip(halved, steps, strict=True)]
        # a step that could not be shortened is a gap in the set: it gets one step, and the frames share the rest
        share = sum(step for gap, step in zip(gaps, steps, strict=True) if not gap) / self._last
        lengths = [share if gap else step for gap, step in zip(gaps, steps, strict=True)]
        for frame, place in enumerate(spread(lengths, self._last + 1)):
            self._place(frame, chain[place])

    def _place(self, frame: int, found: Frame) -> None:
        self.frames[frame] = Frame(replace(found.record, index=frame), found.rows)

    def _solve_middle(self, before: Frame, after: Frame, number: int) -> Frame:
        middle = slerp(before.rows["latents"], after.rows["latents"], 0.5)
        ((_, found),) = self._solve({number: middle})
        return found

    def _is_uneven(self, frame: int) -> bool:
        near = [self.frames[each] for each in (frame - 1, frame, frame + 1)]
        if not all(each.is_member for each in near):
            return False
        sides = sorted([near[1].angle_to(near[0]), near[1].angle_to(near[2])])
        return sides[1] > UNEVEN * sides[0]

    def _solve(self, starts: dict[int, Tensor]) -> Iterator[tuple[int, Frame]]:
        session = self._session
        for event in solve(
            session.problem, _NearestMember(), starts, seed=session.settings.seed, batch=session.settings.batch,
            budget=session.budget, tolerance=session.tolerance, start=GivenStart(starts),
        ):  # fmt: skip
            if isinstance(event, Result):
                record, rows = keep(session, event)
                self.evaluations += record.evaluations
                blank = {name: torch.full_like(value, torch.nan) for name, value in self.frames[0].rows.items()}
                yield event.index, Frame(record, blank if rows is None else rows)
                if self._observer:
                    self._observer.result(record)
            elif isinstance(event, BatchReduced) and self._observer:
                self._observer.batch_reduced(event)

    def _charged(self, frame: int, tried: Frame) -> Frame:
        """The result of an attempt, with the costs of all attempts so far."""
        if frame not in self.frames:
            return tried
        sums = (getattr(self.frames[frame].record, name) + getattr(tried.record, name) for name in COSTS)
        return Frame(replace(tried.record, **dict(zip(COSTS, sums, strict=True))), tried.rows)

    def _between(self, frame: int, shift: float) -> Tensor:
        """Latent on the great circle between the nearest members on both sides, shifted towards one of them."""
        before = max(other for other in range(frame) if self._is_member(other))
        after = min(other for other in range(frame + 1, self._last + 1) if self._is_member(other))
        share = (frame - before) / (after - before)
        share += shift * (share if shift < 0 else 1 - share)
        return slerp(self.frames[before].rows["latents"], self.frames[after].rows["latents"], share)

    def _is_member(self, frame: int) -> bool:
        return frame in self.frames and self.frames[frame].is_member


def _with_costs(record: Record, paid: Record) -> Record:
    return replace(record, **{name: getattr(paid, name) for name in COSTS})


def levels(frames: int) -> Iterator[list[int]]:
    """Yield the frames between the first and the last: the middle one, then the middles of both halves, and so on."""
    spans = [(0, frames - 1)]
    while spans := [(low, high) for low, high in spans if high - low > 1]:
        yield [(low + high) // 2 for low, high in spans]
        spans = [part for low, high in spans for part in ((low, (low + high) // 2), ((low + high) // 2, high))]


def steps_between(frames: Sequence[Frame]) -> Steps:
    """Steps from each frame to the next; all are members."""
    return Steps.of(*(torch.cat([frame.rows[name] for frame in frames]) for name in ("latents", "samples")))


def spread(lengths: Sequence[float], count: int) -> list[int]:
    """Choose points of a chain at distances as even as possible, both ends included.

    Args:
        lengths: distance from each point to the next.
        count: number of points to choose, at most one more than there are distances.

    Returns:
        Positions of the points, increasing.
    """
    along = list(itertools.accumulate(lengths, initial=0.0))
    chosen = [0]
    for number in range(1, count - 1):
        goal = along[-1] * number / (count - 1)
        place = bisect.bisect_left(along, goal)
        if place > 0 and goal - along[place - 1] < along[min(place, len(along) - 1)] - goal:
            place -= 1
        # each point once, and enough of them left
        chosen.append(min(max(place, chosen[-1] + 1), len(along) - count + number))
    return [*chosen, len(along) - 1]
