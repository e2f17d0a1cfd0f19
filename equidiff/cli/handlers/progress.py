"""Progress of a run: counts of samples, and the loss."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable

from equidiff.run.record import Record
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import FAILED, MEMBER, NOT_CONVERGED, StepRecord

SMOOTHING = 0.9  # weight of the past in the displayed loss


class Watch:
    """Counts samples and smooths the loss; an `equidiff.run.execute.Observer`.

    Args:
        show: called with the number of finished samples and a line about them.
        finished: samples finished before.
        warn: called with each warning.
        tell: called with a line about each sample; None to leave these out.
    """

    def __init__(
        self,
        show: Callable[[int, str], None],
        finished: Iterable[Record],
        warn: Callable[[str], None],
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._show, self._warn, self._tell = show, warn, tell
        self._counts = Counter(record.status for record in finished)
        self._log_loss: float | None = None

    def step(self, step: StepRecord) -> None:
        """A sample made a step."""
        if step.loss > 0 and math.isfinite(step.loss):
            # the logarithm: one sample far from its target must not hide all the others
            now = math.log(step.loss)
            self._log_loss = now if self._log_loss is None else SMOOTHING * self._log_loss + (1 - SMOOTHING) * now
        self._show_all()

    def result(self, record: Record) -> None:
        """A sample is finished."""
        self._counts[record.status] += 1
        if self._tell:
            self._tell(describe_record(record))
        self._show_all()

    def batch_reduced(self, event: BatchReduced) -> None:
        """A pass ran out of memory; passes are smaller from now on."""
        self._warn(
            f"Out of memory with {event.rows} samples in one pass: continuing with {event.batch}. "
            f"Use --batch {event.batch} to start there."
        )

    def _show_all(self) -> None:
        members, open_, failed = (self._counts[status] for status in (MEMBER, NOT_CONVERGED, FAILED))
        text = f"{members} members, {open_} not converged, {failed} failed"
        if self._log_loss is not None:
            text += f"; loss {math.exp(self._log_loss):.2g}"
        self._show(self._counts.total(), text)


def describe_record(record: Record) -> str:
    """Describe a sample in one line."""
    text = f"sample {record.index}: {record.status.replace('_', ' ')}"
    if record.error:
        return f"{text}: {record.error}"
    text += f" after {record.steps} steps and {record.evaluations:.1f} evaluations, loss {record.loss:.2g}"
    if record.measurement and len(record.measurement) == 1:
        text += f", value {record.measurement[0]:.4g}"
    return text
