"""The state of a run folder, whatever has happened to it: what is finished, and what is damaged."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from equidiff.errors import RunFolderError
from equidiff.run.folder.layout import JOURNALS, MEMBERS, MOST_ROWS, SEGMENTS, journal_file, numbered, segment_file
from equidiff.run.folder.lines import Span, parse_line, read_lines
from equidiff.run.folder.read import record_of
from equidiff.run.folder.stored import Stored, read_samples
from equidiff.run.info import RunInfo
from equidiff.search.engine import FAILED


@dataclass
class Survey:
    """What a run folder of schema version 3 has.

    Attributes:
        path: the run folder.
        info: the content of its `run.json`.
        stored: places of the rows.
        sound: numbers of the segments that have their checksum, or none.
        broken: files that are damaged or missing.
        framed: samples in journals, by index, with the number of the segment.
        lines: places of the lines of `members.jsonl` that count, by index, in the order of the file.
        bad_lines: number of those that do not: damaged, doubled, or of a sample whose rows are lost.
        lost: samples that were finished, as far as can be told, and must be done again.
    """

    path: Path
    info: RunInfo
    stored: Stored
    sound: set[int] = field(default_factory=set)
    broken: set[Path] = field(default_factory=set)
    framed: dict[int, int] = field(default_factory=dict)
    lines: dict[int, Span] = field(default_factory=dict)
    bad_lines: int = 0
    lost: set[int] = field(default_factory=set)

    @classmethod
    def make(cls, path: Path, info: RunInfo) -> Survey:
        """Look at all files; the checksum of every segment is tested.

        Raises:
            RunFolderError: a file cannot be read.
        """
        survey = cls(path, info, Stored.find(path, info.segment or MOST_ROWS))
        survey._look_at_segments()
        survey._look_at_journals()
        survey._look_at_lines()
        inside = {index for number in survey.sound for index in survey.stored.segments[number]}
        survey.lost = (survey.lost | inside) - survey.finished
        return survey

    @property
    def finished(self) -> set[int]:
        """Indices of the samples that need not be done again."""
        return self.lines.keys() | self.framed.keys()

    @property
    def unlined(self) -> set[int]:
        """Indices of the samples in journals that have no line."""
        return self.framed.keys() - self.lines.keys()

    @property
    def is_whole(self) -> bool:
        """True where all samples are finished, and nothing is damaged."""
        return not self.broken and not self.bad_lines and len(self.finished) == len(self.info.indices)

    @property
    def damage(self) -> str | None:
        """A sentence about what is damaged; None where nothing is."""
        files = sorted(str(file.relative_to(self.path)) for file in self.broken)
        if not files:
            return None
        shown = ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        again = {0: "no finished sample is lost", 1: "one sample is done again"}
        return f"Damaged: {shown}; {again.get(len(self.lost), f'{len(self.lost)} samples are done again')}."

    def _look_at_segments(self) -> None:
        self.sound = {number for number in self.stored.segments if self.stored.is_sound(number)}
        expected = numbered(self.path / SEGMENTS, ".safetensors").keys() | self.stored.sums.keys()
        self.broken = {segment_file(self.path, number) for number in expected - self.sound}

    def _look_at_journals(self) -> None:
        asked = self.info.indices
        for number, file in numbered(self.path / JOURNALS, ".journal").items():
            found = (record.index for _, (record, _, _) in read_samples(file, number, self.stored.size))
            self.framed |= {index: number for index in found if index in asked}

    def _look_at_lines(self) -> None:
        doubled: set[int] = set()
        for place, line in read_lines(self.path / MEMBERS):
            index, failed = self._read(line)
            if index in self.lines:
                doubled.add(index)  # one of them is damaged, and says another index than its own
            if index is None or index in doubled:
                self._note(self.path / MEMBERS)
            elif failed or index in self.framed or self._is_stored(index):
                self.lines[index] = place
            else:
                self.lost.add(index)
                number = index // self.stored.size
                lost = {segment_file(self.path, number), journal_file(self.path, number)}
                self._note(*(() if lost & self.broken else [journal_file(self.path, number)]))
        for index in doubled:
            del self.lines[index]
        self.lost |= doubled

    def _note(self, *files: Path) -> None:
        self.bad_lines += 1
        self.broken |= set(files)

    def _is_stored(self, index: int) -> bool:
        return index // self.stored.size in self.sound and index in self.stored

    def _read(self, line: bytes) -> tuple[int | None, bool]:
        """Index of the sample of a line, None where the line is damaged; and whether it failed."""
        try:
            record = record_of(parse_line(line), MEMBERS)
        except RunFolderError:
            return None, False
        return (record.index if record.index in self.info.indices else None), record.status == FAILED
