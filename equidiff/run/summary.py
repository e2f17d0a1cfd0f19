"""Numbers about all samples of a run, gathered while its records are read one by one."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from equidiff.run.info import RunInfo
from equidiff.run.record import Record
from equidiff.search.engine import MEMBER, NOT_CONVERGED


@dataclass
class Summary:
    """What the end of a run says about its samples: a few numbers for each member, and no record.

    Attributes:
        members: number of them.
        others: number of the samples that are no members.
        banked: members that came from the bank.
        evaluations: that each member cost that was searched for.
        latent_norms: of the members, as far as they were measured.
        outside: distances of the members from the range of images, where they are images.
        loss: the largest of a member, without its views; None where none was measured.
        deviation: the largest distance of a member's measurement, as it is shown, from a single target.
        chains: members that a law moved; the transitions that it `proposed` and `accepted`.
        nearest: measurement and index of the sample that came nearest to the target, member or not.
        missed: losses of the samples that did not converge.
        error: the first sample's reason to have failed.
    """

    members: int = 0
    others: int = 0
    banked: int = 0
    evaluations: array[float] = field(default_factory=lambda: array("d"))
    latent_norms: array[float] = field(default_factory=lambda: array("d"))
    outside: array[float] = field(default_factory=lambda: array("d"))
    loss: float | None = None
    deviation: float = 0.0
    chains: int = 0
    proposed: int = 0
    accepted: int = 0
    nearest: tuple[list[float], int] | None = None
    missed: array[float] = field(default_factory=lambda: array("d"))
    error: str | None = None

    @classmethod
    def of(cls, info: RunInfo, records: Iterable[Record]) -> Summary:
        """Gather them.

        Args:
            info: of the run.
            records: of all its samples, which are read once.
        """
        summary, nearest = cls(), math.inf
        for record in records:
            if summary.error is None:
                summary.error = record.error
            if record.measurement:
                distance = math.dist(record.measurement, info.target.values)
                if distance < nearest:
                    nearest, summary.nearest = distance, (record.measurement, record.index)
            if record.status == MEMBER:
                summary._add(record, info.target.values[0])
            else:
                summary.others += 1
                if record.status == NOT_CONVERGED and record.loss is not None:
                    summary.missed.append(record.loss)
        return summary

    def _add(self, member: Record, target: float) -> None:
        self.members += 1
        self.banked += member.source is not None
        if member.source is None:
            self.evaluations.append(member.evaluations)
        for values, value in ((self.latent_norms, member.latent_norm), (self.outside, member.outside)):
            if value is not None:
                values.append(value)
        if member.loss_unfiltered is not None:
            self.loss = max(member.loss_unfiltered, self.loss or 0.0)
        self.deviation = max([self.deviation, *(abs(value - target) for value in member.shown_values)])
        if member.moves:
            self.chains += 1
            self.proposed += member.moves
            self.accepted += member.accepted or 0
