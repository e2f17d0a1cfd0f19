"""Search for a path between two members that stays inside the set."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from equidiff.builtin.solvers.auto import Auto
from equidiff.contracts import Answer, Coroutine, ResidualFunction, Solver, Step
from equidiff.errors import RunFolderError, UsageError
from equidiff.numerics.gaussian import angle_between, slerp
from equidiff.run.execute import Observer, keep
from equidiff.run.folder import ROWS
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record
from equidiff.run.session import Session
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import MEMBER, Result, solve
from equidiff.search.problem import Problem
from equidiff.search.starts import GivenStart
from equidiff.types import Latents

FEWEST = 3
RADIUS = 0.1  # first trust radius: a path stays near the great circle
SHIFTS = (0.0, -0.3, 0.3, -0.6, 0.6)  # starts to try: on the great circle, or nearer to one of its ends
ROUNDS = 2  # of smoothing
UNEVEN = 1.25  # ratio of the steps on both sides of a frame, above which it is smoothed
COSTS = ("evaluations", "forwards", "backwards", "wall_s")


@dataclass(frozen=True)
class Steps:
    """Distances from each frame to the next.

    Attributes:
        angles: between their latents, in radians.
        images: between their samples, root mean square.
    """

    angles: list[float]
    images: list[float]

    @classmethod
    def of(cls, latents: Tensor, samples: Tensor) -> Steps:
        """Measure the steps between frames, one frame per row."""
        images = (samples[1:] - samples[:-1]).flatten(1).square().mean(dim=1).sqrt()
        return cls([angle_between(*pair) for pair in itertools.pairwise(latents)], images.tolist())


@dataclass(frozen=True)
class SetPath:
    """Frames from one member to another.

    Attributes:
        ends: indices of the two members.
        records: one for each frame, ends included; the status marks frames that are not members.
        rows: latents, samples and measurements, one row per frame.
        straight: the great circle between the same ends, which may leave the set: its losses and its steps.
    """

    ends: tuple[int, int]
    records: tuple[Record, ...]
    rows: Mapping[str, Tensor]
    straight: tuple[list[float], Steps]

    @property
    def members(self) -> list[int]:
        """The frames that are members."""
        return [record.index for record in self.records if record.status == MEMBER]

    @property
    def steps(self) -> Steps:
        """Steps from each frame that is a member to the next one that is."""
        return Steps.of(self.rows["latents"][self.members], self.rows["samples"][self.members])


def find_path(
    session: Session, found: InvariantSet, first: int, second: int, frames: int = 9, observer: Observer | None = None
) -> SetPath:
    """Find a path inside the set.

    The middle of the great circle between the ends is moved onto the set by the shortest steps, and then in the same
    way the middle between each pair of neighbours, so that every frame lies between its neighbours.

    Args:
        session: the run's components, as `open_finished` builds them.
        found: the run's members.
        first: index of a member.
        second: index of another member.
        frames: number of frames, both ends included; at least 3.
        observer: called for each frame.

    Raises:
        UsageError: the ends are the same, or there are too few frames.
        RunFolderError: an end is not a member.
    """
    if first == second:
        raise UsageError("A path leads from one member to another.", given=f"{first} {second}", expected="two members")
    if frames < FEWEST:
        raise UsageError(
            "A path needs more frames.", given=f"{frames} frames", expected=f"at least {FEWEST}, ends included"
        )
    ends = [member_row(found, index) for index in (first, second)]
    search = _PathSearch(session, observer, frames - 1)
    for frame, row in zip((0, frames - 1), ends, strict=True):
        search.set_end(frame, found.records[row], {name: found.rows[name][row : row + 1] for name in ROWS})
    search.fill()
    search.smooth()
    done = [search.frames[frame] for frame in range(frames)]
    rows = {name: torch.cat([frame.rows[name] for frame in done]) for name in ROWS}
    records = tuple(frame.record for frame in done)
    straight = straight_path(session.problem, rows["latents"], session.settings.batch)
    return SetPath((first, second), records, rows, straight)


def member_row(found: InvariantSet, index: int) -> int:
    """Row of `found.records` that holds the member with this index.

    Raises:
        RunFolderError: there is none.
    """
    for row, record in enumerate(found.records):
        if record.index == index and record.status == MEMBER:
            return row
    status = next((each.status.replace("_", " ") for each in found.records if each.index == index), "no such sample")
    raise RunFolderError(
        f"Sample {index} is not a member of this set.",
        given=f"{index}: {status}",
        expected=f"one of the members: {indices_in_words(record.index for record in found.members)}",
    )


def indices_in_words(indices: Iterable[int]) -> str:
    """Format sorted indices, with consecutive ones as a range: "0 to 4, 6"."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def straight_path(problem: Problem, latents: Tensor, batch: int) -> tuple[list[float], Steps]:
    """Losses and steps along the great circle from the first to the last of these latents, with as many frames."""
    arc = torch.stack([slerp(latents[0], latents[-1], share) for share in torch.linspace(0, 1, len(latents)).tolist()])
    answers = [problem.value(rows.to(problem.target.device)) for rows in arc.split(batch)]
    samples = torch.cat([answer.samples.cpu() for answer in answers])
    return torch.cat([answer.loss for answer in answers]).tolist(), Steps.of(arc, samples)


@final
class _NearestMember(Solver):
    """Solver that takes the shortest steps onto the set, without restarts."""

    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        here: Answer = yield from residual.value(latents)
        yield Step(0, here)
        if here.loss.item() >= residual.tolerance:
            yield from Auto(radius=RADIUS).search(here, residual, itertools.count(1))


@dataclass
class _Frame:
    """A frame in its current state."""

    record: Record
    rows: Mapping[str, Tensor]

    @property
    def is_member(self) -> bool:
        return self.record.status == MEMBER

    def angle_to(self, other: _Frame) -> float:
        """Angle to another frame."""
        return angle_between(self.rows["latents"], other.rows["latents"])


class _PathSearch:
    """Frames of a path while it is searched for."""

    def __init__(self, session: Session, observer: Observer | None, last: int) -> None:
        self._session = replace(session, start=None)
        self._observer, self._last = observer, last
        self.frames: dict[int, _Frame] = {}

    def set_end(self, frame: int, record: Record, rows: Mapping[str, Tensor]) -> None:
        """Set the frame at one end; its costs belong to the run, so here they are zero."""
        known = replace(record, index=frame, image=None, distance=None, start_angle=None, steps=0)
        self.frames[frame] = _Frame(replace(known, evaluations=0, forwards=0, backwards=0, wall_s=0), rows)

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
                self.frames[frame] = charged if better else _Frame(_with_costs(here.record, charged.record), here.rows)

    def _is_uneven(self, frame: int) -> bool:
        near = [self.frames[each] for each in (frame - 1, frame, frame + 1)]
        if not all(each.is_member for each in near):
            return False
        sides = sorted([near[1].angle_to(near[0]), near[1].angle_to(near[2])])
        return sides[1] > UNEVEN * sides[0]

    def _solve(self, starts: dict[int, Tensor]) -> Iterator[tuple[int, _Frame]]:
        session = self._session
        for event in solve(
            session.problem, _NearestMember(), starts, seed=session.settings.seed, batch=session.settings.batch,
            budget=session.budget, tolerance=session.tolerance, start=GivenStart(starts),
        ):  # fmt: skip
            if isinstance(event, Result):
                record, rows = keep(session, event)
                blank = {name: torch.full_like(value, torch.nan) for name, value in self.frames[0].rows.items()}
                yield event.index, _Frame(record, blank if rows is None else rows)
                if self._observer:
                    self._observer.result(record)
            elif isinstance(event, BatchReduced) and self._observer:
                self._observer.batch_reduced(event)

    def _charged(self, frame: int, tried: _Frame) -> _Frame:
        """The result of an attempt, with the costs of all attempts so far."""
        if frame not in self.frames:
            return tried
        sums = (getattr(self.frames[frame].record, name) + getattr(tried.record, name) for name in COSTS)
        return _Frame(replace(tried.record, **dict(zip(COSTS, sums, strict=True))), tried.rows)

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
