"""Search for a path between two members that stays inside the set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from equidiff.analysis.path.frames import FrameSearch
from equidiff.analysis.path.steps import Steps
from equidiff.analysis.path.traces import trace
from equidiff.errors import RunFolderError, UsageError
from equidiff.numerics.gaussian import slerp
from equidiff.run.execute import Observer
from equidiff.run.folder import ROWS
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record
from equidiff.run.session import Session
from equidiff.search.engine import MEMBER
from equidiff.search.problem import Problem

FEWEST = 3
MOST_RANGES = 16  # of indices in an error
CANDIDATES = 8  # other members that a pair is looked for among


@dataclass(frozen=True)
class SetPath:
    """Frames from one member to another.

    Attributes:
        ends: indices of the two members.
        records: one for each frame, ends included; the status marks frames that are not members.
        rows: latents, samples and measurements, one row per frame.
        straight: the great circle between the same ends, which may leave the set: its losses and its steps.
        evaluations: cost of all frames, those included that were replaced by others.
        traces: classes and other units along the path, see `trace`.
    """

    ends: tuple[int, int]
    records: tuple[Record, ...]
    rows: Mapping[str, Tensor]
    straight: tuple[list[float], Steps]
    evaluations: float
    traces: Mapping[str, Any] = field(default_factory=dict)

    @property
    def members(self) -> list[int]:
        """The frames that are members."""
        return [record.index for record in self.records if record.status == MEMBER]

    @property
    def steps(self) -> Steps:
        """Steps from each frame that is a member to the next one that is."""
        return Steps.of(self.rows["latents"][self.members], self.rows["samples"][self.members])

    @property
    def jumps(self) -> list[tuple[int, int]]:
        """The frames before and after each jump."""
        return [(self.members[place], self.members[place + 1]) for place in self.steps.jumps]


def find_path(
    session: Session, found: InvariantSet, first: int, second: int, frames: int = 9, observer: Observer | None = None
) -> SetPath:
    """Find a path inside the set.

    The middle of the great circle between the ends is moved onto the set by the shortest steps, and then in the same
    way the middle between each pair of neighbours, so that every frame lies between its neighbours. Where neighbours
    look very different, more frames are looked for between them.

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
    search = FrameSearch(session, observer, frames - 1)
    for frame, row in zip((0, frames - 1), ends, strict=True):
        search.set_end(frame, found.records[row], {name: found.rows.take(name, [row]) for name in ROWS})
    search.fill()
    search.smooth()
    search.refine()
    done = [search.frames[frame] for frame in range(frames)]
    rows = {name: torch.cat([frame.rows[name] for frame in done]) for name in ROWS}
    records = tuple(frame.record for frame in done)
    straight = straight_path(session.problem, rows["latents"], session.settings.batch, frames)
    traces = trace(session, rows["samples"])
    return SetPath((first, second), records, rows, straight, search.evaluations, traces)


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
    """Format sorted indices, with consecutive ones as a range: "0 to 4, 6"; the first and the last of many ranges."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    words = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    return ", ".join(words if len(words) <= MOST_RANGES else [*words[: MOST_RANGES - 1], "...", words[-1]])


def straight_path(problem: Problem, ends: Tensor, batch: int, frames: int) -> tuple[list[float], Steps]:
    """Losses and steps along the great circle from the first to the last of these latents."""
    arc = torch.stack([slerp(ends[0], ends[-1], share) for share in torch.linspace(0, 1, frames).tolist()])
    answers = [problem.value(rows.to(problem.target.device)) for rows in arc.split(batch)]
    samples = torch.cat([answer.samples.cpu() for answer in answers])
    return torch.cat([answer.loss for answer in answers]).tolist(), Steps.of(arc, samples)


def likely_end(session: Session, found: InvariantSet, first: int, without: int, frames: int) -> int | None:
    """Index of another member to which a path is likely not to jump; None if there are no others.

    It is the one to which the great circle leaves the set least. That is a guess, which costs one pass for each frame:
    no path has been searched for.

    Args:
        session: the run's components.
        found: the run's members.
        first: index of the member where the path begins.
        without: index of a member not to propose.
        frames: number of frames.
    """
    start = found.rows.take("latents", [member_row(found, first)])[0]
    others = [record.index for record in found.members if record.index not in {first, without}]
    # spread over the run, since neighbours in it share their candidates
    others = others[:: max(1, len(others) // CANDIDATES)][:CANDIDATES]
    worst: dict[int, float] = {}
    for other in others:
        ends = torch.stack([start, found.rows.take("latents", [member_row(found, other)])[0]])
        worst[other] = max(straight_path(session.problem, ends, session.settings.batch, frames)[0])
    return min(worst, key=lambda each: worst[each], default=None)
