"""The content of `run.json` at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from equidiff.run.info import RunInfo
from equidiff.run.parts import Counts, count_classes
from equidiff.run.record import Record
from equidiff.search.engine import FAILED, MEMBER, NOT_CONVERGED


def finished_info(
    info: RunInfo, records: Iterable[Record], status: str, wall_s: float, error: str | None = None
) -> RunInfo:
    """The content of `run.json` at the end of a run: counts by status and class, and the evaluations of all samples.

    Args:
        info: as it was before.
        records: of the finished samples, in index order; they are read once.
        status: "complete", "interrupted" or "failed".
        wall_s: seconds since the run began, or was resumed.
        error: why it failed.
    """
    number: Counter[str] = Counter()
    classes: Counter[tuple[int, str]] = Counter()
    evaluations = 0.0
    for record in records:
        number[record.status] += 1
        evaluations += record.evaluations
        if record.status == MEMBER and record.called is not None:
            classes[record.called.index, record.called.name] += 1
    counts = Counts(
        asked=info.counts.asked, members=number[MEMBER], not_converged=number[NOT_CONVERGED], failed=number[FAILED]
    )
    return info.ended(status, wall_s, counts, round(evaluations, 3), error, count_classes(classes))
