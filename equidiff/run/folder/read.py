"""What a run folder says of its samples, of any schema version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from equidiff.errors import RunFolderError
from equidiff.folders.status import COMPLETE, INTERRUPTED
from equidiff.folders.tensors import read_tensors
from equidiff.run.folder.layout import MEMBERS, MOST_ROWS, OF_QUERY, OLD_TENSORS, PRIOR, QUERY, STEPS
from equidiff.run.folder.lines import find_lines, parse_line, read_lines, values_at
from equidiff.run.folder.rows import MemoryRows, Rows, StoredRows
from equidiff.run.folder.stored import Stored, damaged
from equidiff.run.info import RunInfo, read_info
from equidiff.run.packed import pack, read_step
from equidiff.run.record import Record
from equidiff.search.engine import FAILED, StepRecord


def iter_records(path: Path) -> Iterator[Record]:
    """Records of the finished samples, one by one, in the order of `members.jsonl`.

    Raises:
        RunFolderError: a line is not one of a sample.
    """
    file = path / MEMBERS
    for number, (_, line) in enumerate(read_lines(file), 1):
        values = parse_line(line)
        if values is not None:
            yield record_of(values, f"{file}, line {number}")


def read_records(path: Path) -> list[Record]:
    """Records of the finished samples, in index order.

    Raises:
        RunFolderError: a line is not one of a sample.
    """
    return sorted(iter_records(path), key=lambda record: record.index)


def record_of(values: Any, place: str) -> Record:
    """The record that a line holds.

    Raises:
        RunFolderError: it is none.
    """
    try:
        return Record.from_dict(values)
    except ValueError:
        raise RunFolderError(
            "A line of members.jsonl cannot be read.",
            given=place,
            expected="a line for each sample, as equidiff run writes it",
        ) from None


def load_samples(path: Path, info: RunInfo) -> tuple[tuple[Record, ...], Rows]:
    """Records of the finished samples in index order, and their rows.

    Raises:
        RunFolderError: samples are damaged or lost.
    """
    records = tuple(read_records(path))
    if info.schema_version < 3:
        return records, old_rows(path)
    counts = info.counts
    ended = info.status in {COMPLETE, INTERRUPTED}
    expected = sum(filter(None, (counts.members, counts.not_converged, counts.failed)))
    indices = [record.index for record in records]
    if len(set(indices)) != len(indices) or (ended and len(indices) != expected):
        raise damaged(path, f"{path / MEMBERS}, with lines of {len(set(indices))} samples where {expected} ended")
    stored = Stored.find(path, info.segment or MOST_ROWS)
    lost = [record.index for record in records if record.status != FAILED and record.index not in stored]
    if lost:
        raise damaged(path, f"{path}, without the tensors of {len(lost)} of {len(records)} samples")
    return records, StoredRows(stored, indices)


def old_rows(path: Path) -> MemoryRows:
    """The rows of a run of schema version 1 or 2, in the order of `members.jsonl`; empty before it has ended."""
    tensors = read_file(path / OLD_TENSORS)
    return MemoryRows({name: value for name, value in tensors.items() if name not in OF_QUERY})


def read_prior(path: Path) -> dict[str, Tensor]:
    """Samples, measurements, losses and classes of the run's prior samples; empty where it measured none.

    Raises:
        RunFolderError: the file is damaged.
    """
    return read_file(path / PRIOR)


def read_query(path: Path) -> dict[str, Tensor]:
    """Query and query_latent, those of them that there are.

    Raises:
        RunFolderError: the file is damaged.
    """
    places = (path / QUERY, path / "partial" / QUERY, path / OLD_TENSORS)
    tensors = next((read_file(file) for file in places if file.exists()), {})
    return {name: tensors[name] for name in OF_QUERY if name in tensors}


def read_file(file: Path) -> dict[str, Tensor]:
    """The tensors of a file; empty where there is none.

    Raises:
        RunFolderError: it is damaged.
    """
    try:
        return read_tensors(file) if file.exists() else {}
    except (SafetensorError, OSError, ValueError) as error:
        raise RunFolderError(f"The tensors of this run cannot be read: {error}", given=file) from error


def iter_packed(path: Path, indices: Iterable[int] | None = None) -> Iterator[bytes]:
    """Finished samples of a run of schema version 3, packed, in the order of the indices.

    Args:
        path: the run folder.
        indices: of samples; all that are finished, in their order, by default. Those that are not are left out.

    Raises:
        RunFolderError: one of them is damaged.
    """
    stored = Stored.find(path, read_info(path).segment or MOST_ROWS)
    lines, steps = (find_lines(path / name) for name in (MEMBERS, STEPS))
    wanted = [index for index in (sorted(lines) if indices is None else indices) if index in lines]
    for number, group in groupby(wanted, key=lambda index: index // stored.size):
        rows = stored.rows_of(number)
        for index in group:
            (line,) = values_at(path / MEMBERS, lines[index]) or (None,)
            record = record_of(line, f"{path / MEMBERS}, sample {index}")
            if record.status != FAILED and index not in rows:
                raise damaged(path, f"{path}, without the tensors of sample {index}")
            yield pack(record, rows.get(index), steps_of(values_at(path / STEPS, steps.get(index))))


def steps_of(lines: Iterable[dict[str, Any]]) -> list[StepRecord]:
    """Steps from the lines of `steps.jsonl`, without those that are none."""
    found = []
    for values in lines:
        with suppress(ValueError):
            found.append(read_step(values))
    return found
