"""Progress of a run: counts of samples, the loss of those under way, thumbnails, and the time that is left."""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from equidiff.cli.console import SearchDisplay, SearchState
from equidiff.images.read import read_drawn
from equidiff.run.record import Record
from equidiff.run.remaining import Remaining
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import FAILED, MEMBER, NOT_CONVERGED, StepRecord


class Watch:
    """Counts samples and estimates what is left; an `equidiff.run.execute.Observer`.

    Args:
        display: shows the state after each event.
        remaining: estimates what is left.
        finished: samples finished before.
        find: the image file of a sample; None where there is none.
        warn: called with each warning.
        tell: called with a line about each sample; None to leave these out.
    """

    def __init__(
        self,
        display: SearchDisplay,
        remaining: Remaining,
        finished: Iterable[Record],
        find: Callable[[int], Path | None],
        warn: Callable[[str], None],
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._display, self._remaining, self._find, self._warn, self._tell = display, remaining, find, warn, tell
        self._counts = Counter(record.status for record in finished)
        self._started = time.monotonic()
        self._batch = math.inf

    def step(self, step: StepRecord) -> None:
        """A sample made a step."""
        self._remaining.step(step.index, step.evaluations, step.loss, self._elapsed())
        self._show()

    def result(self, record: Record) -> None:
        """A sample is finished."""
        self._counts[record.status] += 1
        self._remaining.result(record.index, record.evaluations, self._elapsed())
        if self._tell:
            self._tell(describe_record(record))
        if record.status == MEMBER and self._display.pictures:
            self._add_thumbnail(record)
        self._show()

    def batch_reduced(self, event: BatchReduced) -> None:
        """A pass ran out of memory; passes are smaller from now on. What another worker has told is not said again."""
        if event.batch < self._batch:
            self._batch = event.batch
            self._warn(f"{describe_reduction(event)} Use --batch {event.batch} to start there.")

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _add_thumbnail(self, record: Record) -> None:
        file = self._find(record.index)
        image = None if file is None else read_drawn(file)
        if image is not None:
            self._display.add(image, f"{record.index}" if record.called is None else record.called.name)

    def _show(self) -> None:
        remaining = self._remaining
        if not self._display.is_due and not remaining.is_done:
            return  # to describe the state takes longer than a step of a small network
        seconds, share = remaining.seconds(), remaining.share()
        state = SearchState(self._counts.total(), share, seconds, self._describe(), remaining.levels)
        self._display.show(state)

    def _describe(self) -> str:
        names = {MEMBER: "members", NOT_CONVERGED: "not converged", FAILED: "failed"}
        counts = [f"{self._counts[status]} {name}" for status, name in names.items() if self._counts[status]]
        gaps, tolerance = self._remaining.gaps, self._remaining.tolerance
        searching = [gap for gap in gaps if gap > 0]
        if searching:
            loss = tolerance * math.exp(statistics.median(searching))
            counts.append(f"{len(searching)} under way, loss {loss:.2g} (tolerance {tolerance:.2g})")
        if self._remaining.transitions and len(gaps) > len(searching):
            counts.append(f"{len(gaps) - len(searching)} moving along the set")
        return ", ".join(counts)


def describe_reduction(event: BatchReduced) -> str:
    """Say in a sentence that passes have become smaller."""
    return f"Out of memory with {event.rows} samples in one pass: continuing with {event.batch}."


def describe_record(record: Record) -> str:
    """Describe a sample in one line."""
    text = f"sample {record.index}: {record.status.replace('_', ' ')}"
    if record.error:
        return f"{text}: {record.error}"
    text += f" after {record.steps} steps and {record.evaluations:.1f} evaluations, loss {record.loss:.2g}"
    if record.measurement and len(record.measurement) == 1:
        text += f", value {record.measurement[0]:.4g}"
    return text
