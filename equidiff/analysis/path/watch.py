"""Progress of a search for a path."""

from __future__ import annotations

from collections.abc import Callable

from equidiff.run.record import Record
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import MEMBER, StepRecord


class FrameCounter:
    """Counts frames that are members; an `equidiff.run.execute.Observer`.

    Args:
        show: called with the number of frames that are members, and a line about the last one.
        warn: called with each warning.
        last: number of the last frame; higher ones are between frames that differ much.
    """

    def __init__(self, show: Callable[[int, str], None], warn: Callable[[str], None], last: int) -> None:
        self._show, self._warn, self._last = show, warn, last
        self._members: set[int] = set()

    def step(self, step: StepRecord) -> None:
        """A frame made a step."""

    def result(self, record: Record) -> None:
        """A frame is finished, or will be tried again."""
        status = record.status.replace("_", " ")
        if record.index > self._last:
            self._show(len(self._members), f"between frames that differ much: {status}")
            return
        if record.status == MEMBER:
            self._members.add(record.index)
        self._show(len(self._members), f"frame {record.index}: {status}")

    def batch_reduced(self, event: BatchReduced) -> None:
        """A pass ran out of memory; passes are smaller from now on."""
        self._warn(f"Out of memory with {event.rows} frames in one pass: continuing with {event.batch}.")
