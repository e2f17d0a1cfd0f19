"""Finished samples on their way to the disk: journals and files of samples first, then the lines that speak of them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from equidiff.contracts.sample_kind import SampleKind
from equidiff.folders import text
from equidiff.folders.atomic import sync_file, sync_folder
from equidiff.run.folder.journal import append_frame
from equidiff.run.folder.layout import MEMBERS, STEPS, journal_file
from equidiff.run.packed import pack, step_values
from equidiff.run.record import Record
from equidiff.search.engine import StepRecord

GROUPED_S = 0.25  # samples that finish within this time share a commit


class Commits:
    """Samples that are in their journals and have no lines yet.

    Args:
        path: the run folder.
        size: samples in a segment.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size = path, size
        self._pending: list[tuple[Record, list[StepRecord]]] = []
        self._unsynced: dict[Path, None] = {}
        self._last = -math.inf

    @property
    def is_due(self) -> bool:
        """True if samples wait, and none had to for a quarter of a second."""
        return bool(self._pending) and time.monotonic() - self._last >= GROUPED_S

    def add(
        self, record: Record, rows: Mapping[str, Tensor] | None, steps: list[StepRecord], kind: SampleKind | None
    ) -> None:
        """Write a sample into its journal, and its own file if it has one, without waiting for the disk.

        Raises:
            OSError: it cannot be written.
        """
        journal = journal_file(self._path, record.index // self._size)
        append_frame(journal, pack(record, rows, steps))
        self._unsynced[journal] = None
        name = record.own_file
        if rows is not None and name is not None and kind is not None:
            file = self._path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            kind.write(file, rows["samples"][0])
            self._unsynced[file] = None
        self._pending.append((record, steps))

    def commit(self) -> set[int]:
        """Wait for the disk and write the lines of all samples that wait.

        Returns:
            The numbers of their segments.

        Raises:
            OSError: they cannot be written.
        """
        for file in self._unsynced:
            sync_file(file)
        for folder in {folder for file in self._unsynced for folder in (file.parent, file.parent.parent)}:
            sync_folder(folder)
        self._unsynced.clear()
        append_lines(self._path, self._pending)
        numbers = {record.index // self._size for record, _ in self._pending}
        self._pending.clear()
        self._last = time.monotonic()
        return numbers


def append_lines(path: Path, samples: Iterable[tuple[Record, list[StepRecord]]]) -> None:
    """Append the lines of finished samples to `steps.jsonl` and then to `members.jsonl`; both are on the disk then."""
    samples = list(samples)
    steps = [text.to_json(step_values(step)) for _, found in samples for step in found]
    _append(path / STEPS, steps)
    _append(path / MEMBERS, [record.to_json() for record, _ in samples])


def _append(file: Path, lines: list[str]) -> None:
    if lines:
        with file.open("ab") as content:
            content.write("".join(line + "\n" for line in lines).encode())
            content.flush()
            os.fsync(content.fileno())
