"""Files of samples in a run folder, beside its tensors: images, sounds, a table of rows, and the query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from equidiff.contracts.sample_kind import SampleKind
from equidiff.folders.atomic import write_atomically
from equidiff.kinds.registry import kind_from
from equidiff.run.folder.layout import MOST_ROWS, file_name
from equidiff.run.folder.read import read_records
from equidiff.run.folder.rows import StoredRows
from equidiff.run.folder.stored import Stored
from equidiff.run.info import RunInfo
from equidiff.search.engine import MEMBER


def write_query(path: Path, info: RunInfo, query: Tensor | None) -> None:
    """Write the query's file, where there is a query, and its kind has files."""
    if query is None:
        return
    kind = kind_from(info.kind, query.shape[1:])
    if kind.suffix is not None:
        write_atomically(path / f"query{kind.suffix}", lambda part: kind.write(part, query[0]))


def write_table(path: Path, info: RunInfo) -> None:
    """Write the file that has all members, where their kind has one."""
    kind = kind_from(info.kind, ())
    if kind.one_file is None:
        return
    indices = [record.index for record in read_records(path) if record.status == MEMBER]
    rows = StoredRows(Stored.find(path, info.segment or MOST_ROWS), indices)
    samples = ((index, rows.take("samples", [place])[0]) for place, index in enumerate(indices))
    write_atomically(path / kind.one_file, lambda part: kind.write_all(part, samples))


def own_file(index: int, kind: SampleKind | None) -> dict[str, Any]:
    """Path of a sample's own file, as its record has it: under `image` or under `file`.

    Args:
        index: of the sample.
        kind: of the sample; None for one that gets no file.
    """
    name = None if kind is None or kind.suffix is None else file_name(index, kind.folder, kind.suffix)
    image = kind is not None and kind.is_image
    return {"image": name if image else None, "file": None if image else name}
