"""Parts of the page that samples of some kinds have: sounds to play, and a table of rows."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from equidiff.analysis.report.sort_keys import SortKey
from equidiff.contracts import SampleKind
from equidiff.run.invariant_set import InvariantSet

MOST_BYTES = 24 * 2**20  # of sounds on a page; members beyond it are in the run folder only
MOST_COLUMNS = 60
MOST_KEYS = 24  # columns by which members are sorted and filtered


class Sounds:
    """Samples as audio files in data URIs, until they are too many for a page.

    Args:
        kind: of the samples.
    """

    def __init__(self, kind: SampleKind) -> None:
        self._kind, self._left = kind, MOST_BYTES

    def uri(self, sample: Tensor) -> str:
        """Data URI of a sample; empty where it makes no sound, or there is no room."""
        content = self._kind.sound(sample)
        if content is None or len(content) > self._left:
            return ""
        self._left -= len(content)
        return f"data:audio/wav;base64,{base64.b64encode(content).decode('ascii')}"


@dataclass(frozen=True)
class MemberTable:
    """Members as rows of a table.

    Attributes:
        columns: titles of the columns.
        rows: index of each member, None for the query, and its numbers as texts.
        left_out: columns that are not shown.
    """

    columns: list[str]
    rows: list[tuple[int | None, list[str]]]
    left_out: int


def table_of(found: InvariantSet) -> MemberTable | None:
    """Table of the query and the members; None where samples are no rows."""
    kind = found.kind
    if kind.one_file is None:
        return None
    titles = kind.names(found.sample_shape)
    own = [(record.index, sample) for record, sample in zip(found.members, found.samples, strict=True)]
    samples = [*([] if found.query is None else [(None, found.query[0])]), *own]
    rows = [(index, [f"{value:.5g}" for value in sample[:MOST_COLUMNS].tolist()]) for index, sample in samples]
    return MemberTable(titles[:MOST_COLUMNS], rows, max(len(titles) - MOST_COLUMNS, 0))


def column_keys(found: InvariantSet) -> Sequence[SortKey]:
    """Columns of a table, to sort and filter members by; none for samples that are no rows."""
    kind = found.kind
    if kind.one_file is None:
        return []
    titles = kind.names(found.sample_shape)[:MOST_KEYS]
    return [
        SortKey(f"column_{place}", title, "", "a column of the table", column)
        for place, (title, column) in enumerate(zip(titles, found.samples.T.tolist(), strict=False), 1)
    ]
