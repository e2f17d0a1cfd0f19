"""Places of the tensors of finished samples in a run folder: found by index, never by position."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from torch import Tensor

from equidiff.errors import RunFolderError
from equidiff.folders.text import shell_word
from equidiff.run.folder.journal import read_frame, read_frames
from equidiff.run.folder.layout import JOURNALS, SEGMENTS, journal_file, numbered, segment_file
from equidiff.run.folder.segments import digest_of, read_indices, read_segment, read_sums
from equidiff.run.packed import ROWS, unpack
from equidiff.run.record import Record
from equidiff.search.engine import StepRecord

Sample = tuple[Record, dict[str, Tensor] | None, list[StepRecord]]


class Stored:
    """The rows that a run folder has, in segments and in journals. A segment's checksum is tested before it is used.

    Args:
        path: the run folder.
        size: samples in a segment.
        frames: position of the frame of each sample that has rows in a journal.
        segments: indices of the rows of each segment, in their order.
    """

    def __init__(self, path: Path, size: int, frames: Mapping[int, int], segments: Mapping[int, Sequence[int]]) -> None:
        self.path, self.size, self.segments = path, size, segments
        self._frames = frames
        self.sums = read_sums(path)
        self._sound: set[int] = set()

    @classmethod
    def find(cls, path: Path, size: int, numbers: Collection[int] | None = None) -> Stored:
        """Look for rows in segments and journals; what is damaged counts as absent.

        Args:
            path: the run folder.
            size: samples in a segment.
            numbers: of the segments; all by default.
        """
        frames: dict[int, int] = {}
        for number, file in _chosen(path / JOURNALS, ".journal", numbers):
            found = read_samples(file, number, size)
            frames |= {record.index: at for at, (record, rows, _) in found if rows is not None}
        segments: dict[int, Sequence[int]] = {}
        for number, file in _chosen(path / SEGMENTS, ".safetensors", numbers):
            try:
                indices = read_indices(file)
            except RunFolderError:
                continue
            if all(index // size == number for index in indices):
                segments[number] = indices
        return cls(path, size, frames, segments)

    def __contains__(self, index: int) -> bool:
        return index in self._frames or self._row(index) is not None

    def shapes(self) -> dict[str, list[int]]:
        """Shapes of the tensors of a sample, without the batch axis; empty where no sample has any.

        Raises:
            RunFolderError: a file is damaged.
        """
        number = next((number for number, indices in self.segments.items() if indices), None)
        if number is not None:
            one = read_segment(segment_file(self.path, number), ROWS, [0])
        elif self._frames:
            one = self._read_frame(next(iter(self._frames)))
        else:
            return {}
        return {name: [*one[name].shape[1:]] for name in ROWS}

    def read(self, name: str, indices: Sequence[int]) -> Iterator[tuple[list[int], Tensor]]:
        """Rows of one tensor, of those samples that have any, with their positions among `indices`.

        Raises:
            RunFolderError: a file that holds some of them is damaged.
        """
        order = sorted(range(len(indices)), key=indices.__getitem__)
        for number, group in groupby(order, key=lambda at: indices[at] // self.size):
            rows: dict[int, int] = {}
            for at in group:
                row = self._row(indices[at])
                if indices[at] in self._frames:
                    yield [at], self._read_frame(indices[at])[name]
                elif row is not None:
                    rows[at] = row
            if rows:
                yield list(rows), self._read_segment(number, (name,), list(rows.values()))[name]

    def rows_of(self, number: int) -> dict[int, dict[str, Tensor]]:
        """The rows of all samples of a segment, those in its journal too, by index.

        Raises:
            RunFolderError: the segment is damaged.
        """
        found: dict[int, dict[str, Tensor]] = {}
        if number in self.segments:
            tensors = self._read_segment(number, ROWS, None)
            for row, index in enumerate(self.segments[number]):
                found[index] = {name: tensors[name][row : row + 1] for name in ROWS}
        file = journal_file(self.path, number)
        for _, (record, rows, _) in read_samples(file, number, self.size) if file.exists() else ():
            found.pop(record.index, None)
            if rows is not None:
                found[record.index] = rows
        return found

    def is_sound(self, number: int) -> bool:
        """Tell whether a segment has its checksum, or is without any."""
        expected = self.sums.get(number)
        if number not in self._sound and (expected is None or digest_of(segment_file(self.path, number)) == expected):
            self._sound.add(number)
        return number in self._sound

    def _read_segment(self, number: int, names: Iterable[str], rows: Sequence[int] | None) -> dict[str, Tensor]:
        file = segment_file(self.path, number)
        if not self.is_sound(number):
            raise damaged(self.path, f"{file}, which has not the checksum that SHA256SUMS has for it")
        return read_segment(file, list(names), rows)

    def _row(self, index: int) -> int | None:
        """Row of a sample in its segment."""
        rows = self.segments.get(index // self.size, ())
        row = bisect_left(rows, index)
        return row if row < len(rows) and rows[row] == index else None

    def _read_frame(self, index: int) -> dict[str, Tensor]:
        packed = read_frame(journal_file(self.path, index // self.size), self._frames[index])
        record, rows, _ = unpack(packed)
        if rows is None or record.index != index:
            raise damaged(self.path, journal_file(self.path, index // self.size))
        return rows


def _chosen(folder: Path, suffix: str, numbers: Collection[int] | None) -> list[tuple[int, Path]]:
    found = numbered(folder, suffix)
    return [(number, file) for number, file in found.items() if numbers is None or number in numbers]


def read_samples(file: Path, number: int, size: int) -> Iterator[tuple[int, Sample]]:
    """The samples in a journal, and the positions of their frames; what is damaged, or no sample of it, is left out."""
    for at, packed in read_frames(file):
        try:
            sample = unpack(packed)
        except RunFolderError:
            continue
        if sample[0].index // size == number:
            yield at, sample


def damaged(path: Path, given: object) -> RunFolderError:
    """The error for a run folder that has lost some of its samples."""
    return RunFolderError(
        "Some samples of this run are damaged or lost.",
        given=given,
        expected="the files as equidiff run wrote them",
        hint=f"equidiff run --resume {shell_word(path)}   # does these samples again",
    )
