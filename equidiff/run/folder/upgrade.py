"""Unfinished runs of schema versions 1 and 2, which had the rows of all samples in one file, by position."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from equidiff.errors import RunFolderError
from equidiff.folders.atomic import sync_file, sync_folder, write_atomically
from equidiff.folders.tensors import read_tensors, write_tensors
from equidiff.run.folder.journal import append_frame
from equidiff.run.folder.layout import (
    JOURNALS,
    MEMBERS,
    OLD_TENSORS,
    QUERY,
    SEGMENTS,
    STEPS,
    journal_file,
    numbered,
    rows_of_segment,
)  # fmt: skip
from equidiff.run.folder.lines import find_lines, parse_line, read_lines, values_at
from equidiff.run.folder.read import old_rows, read_query, record_of, steps_of
from equidiff.run.folder.rows import MemoryRows
from equidiff.run.info import SCHEMA_VERSION, RunInfo
from equidiff.run.packed import ROWS, pack
from equidiff.run.record import Record
from equidiff.search.engine import FAILED

Row = dict[str, Tensor]


def upgrade(path: Path, info: RunInfo) -> RunInfo:
    """Give a run folder the files of today's schema version, and return the new content of `run.json`.

    The old files go last: if this is cut short, it can be done again.

    Raises:
        OSError: the folder cannot be written.
    """
    (path / JOURNALS).mkdir(exist_ok=True)
    (path / SEGMENTS).mkdir(exist_ok=True)
    for file in numbered(path / JOURNALS, ".journal").values():
        file.unlink()  # of an upgrade that was cut short
    with suppress(RunFolderError):  # damaged: who needs it says so
        query = read_query(path)
        if query:
            write_tensors(path / QUERY, query)
    samples = list(_old_samples(path))
    shapes = next(([row[name].shape[1:] for name in ROWS] for _, row in samples if row is not None), [])
    info = info.model_copy(update={"schema_version": SCHEMA_VERSION, "segment": rows_of_segment(shapes)})
    steps = find_lines(path / STEPS)
    for record, row in samples:
        number = record.index // (info.segment or 1)
        packed = pack(record, row, steps_of(values_at(path / STEPS, steps.get(record.index))))
        append_frame(journal_file(path, number), packed)
    for file in numbered(path / JOURNALS, ".journal").values():
        sync_file(file)
    sync_folder(path / JOURNALS)
    write_atomically(path / "run.json", info.to_json())
    drop_old_files(path)
    return info


def drop_old_files(path: Path) -> None:
    """Remove the files of earlier schema versions, whose content is in those of today."""
    for file in (path / OLD_TENSORS, *(path / JOURNALS).glob("*.safetensors")):
        file.unlink(missing_ok=True)


def _old_samples(path: Path) -> Iterator[tuple[Record, Row | None]]:
    """Records, and rows of those that have any: from a file of its own, or from that of all, by the number of the line.

    A line that is damaged keeps its number; where there are not as many lines as rows, no row can be trusted.
    """
    try:
        rows = old_rows(path)
    except RunFolderError:
        rows = MemoryRows()
    lines = list(read_lines(path / MEMBERS))
    numbers_agree = bool(rows) and all(len(rows.get(name, ())) == len(lines) for name in ROWS)
    for number, (_, line) in enumerate(lines):
        try:
            record = record_of(parse_line(line), MEMBERS)
        except RunFolderError:
            continue
        row = _own_file(path / JOURNALS / f"{record.index:05d}.safetensors")
        if row is None and numbers_agree:
            row = {name: rows[name][number : number + 1] for name in ROWS}
        if record.status == FAILED:
            yield record, None
        elif row is not None:
            yield record, row


def _own_file(file: Path) -> Row | None:
    try:
        found = read_tensors(file)
    except (OSError, SafetensorError, ValueError):
        return None
    return found if found.keys() >= set(ROWS) and all(len(found[name]) == 1 for name in ROWS) else None
