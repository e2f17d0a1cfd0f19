"""The one writer of a run folder, of schema version 3.

A finished sample goes into the journal of its segment at once. Within a quarter of a second, or when the run ends, the
journals and images are made to be on the disk, and then the samples get their lines in `steps.jsonl` and
`members.jsonl`: what a line says is there. When all samples of a segment are finished, it is written in one move, with
its checksum, and its journal goes. `run.json` is replaced in one move, so a killed run reads as running.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from equidiff.errors import RunFolderError
from equidiff.folders.atomic import sync_folder, write_atomically
from equidiff.folders.lock import Lock
from equidiff.folders.paths import OF_A_BEGINNING, check_free, unwritable
from equidiff.folders.status import RUN_FAILED
from equidiff.folders.tensors import write_tensors
from equidiff.kinds.registry import kind_from
from equidiff.run.folder.commit import Commits
from equidiff.run.folder.ending import finished_info
from equidiff.run.folder.layout import (
    JOURNALS,
    MEMBERS,
    MOST_ROWS,
    OF_QUERY,
    PRIOR,
    QUERY,
    SEGMENTS,
    STEPS,
    file_name,
    journal_file,
    numbered,
    segment_file,
)  # fmt: skip
from equidiff.run.folder.lines import sort_lines
from equidiff.run.folder.own_files import own_file, write_query, write_table
from equidiff.run.folder.read import iter_records
from equidiff.run.folder.recover import recover
from equidiff.run.folder.segments import read_sums, write_segment, write_sums
from equidiff.run.folder.stored import Stored
from equidiff.run.folder.survey import Survey
from equidiff.run.folder.upgrade import drop_old_files, upgrade
from equidiff.run.image_files import DEFAULT_IMAGES, ImageFiles
from equidiff.run.info import SCHEMA_VERSION, RunInfo, read_info
from equidiff.run.packed import unpack
from equidiff.run.record import Record
from equidiff.run.signals import held_signals
from equidiff.search.engine import StepRecord

RESERVE, RESERVED = ".reserve", 256 * 2**10  # bytes kept for the run.json of a run that has filled the disk


class RunFolder:
    """Writes one run folder. It holds the folder's lock from `create` or `reopen` until `finish`.

    Args:
        path: the folder; made by `create`, found by `reopen`.
        info: the content of `run.json`.
        lock: of the folder.
        finished: indices of the samples that are finished.

    Attributes:
        finished: the same, with those that were finished since.
        damage: a sentence about what `reopen` found damaged; None where nothing was.
    """

    def __init__(self, path: Path, info: RunInfo, lock: Lock, finished: Iterable[int] = ()) -> None:
        self.path, self.info = path, info
        self.finished = set(finished)
        self.damage: str | None = None
        self._lock = lock
        self._size = info.segment or MOST_ROWS
        self._images = ImageFiles.parse(info.images or DEFAULT_IMAGES)
        self._steps: dict[int, list[StepRecord]] = {}
        self._commits = Commits(path, self._size)
        self._left = Counter(index // self._size for index in info.indices if index not in self.finished)

    @classmethod
    def create(
        cls,
        path: Path,
        info: RunInfo,
        query: Tensor | None = None,
        query_latent: Tensor | None = None,
        prior: Mapping[str, Tensor] | None = None,
    ) -> RunFolder:
        """Make a new folder; `run.json` comes last.

        Args:
            path: where nothing is yet, or what is left of a run that was killed before it began.
            info: what is known of the run, see `Session.describe`.
            query: `[1, ...]`, the query sample, where there is one.
            query_latent: `[1, *latent_shape]`, where the run starts from it.
            prior: the tensors of prior samples, if the run measured any.

        Raises:
            RunFolderError: something is there already, or it cannot be written.
        """
        check_free(path, OF_A_BEGINNING)
        info = info.began().model_copy(
            update={
                "schema_version": SCHEMA_VERSION,
                "run_folder": str(path.absolute()),
                "segment": info.segment or MOST_ROWS,
                "images": info.images or DEFAULT_IMAGES,
            }
        )
        try:
            path.mkdir(parents=True, exist_ok=True)
            folder = cls(path, info, Lock(path))
            try:
                folder._begin(dict(zip(OF_QUERY, (query, query_latent), strict=True)), prior)
            except BaseException:
                folder.close()
                raise
        except OSError as error:
            raise unwritable(path, error) from error
        return folder

    def _begin(self, of_query: Mapping[str, Tensor | None], prior: Mapping[str, Tensor] | None) -> None:
        path = self.path
        self._make_folders()
        own = {name: value.float().contiguous() for name, value in of_query.items() if value is not None}
        if own:
            write_tensors(path / QUERY, own)
        write_query(path, self.info, of_query["query"])
        if prior:
            write_tensors(path / PRIOR, prior)
        write_atomically(path / MEMBERS, b"")
        write_atomically(path / STEPS, b"")
        write_atomically(path / RESERVE, os.urandom(RESERVED))  # nothing that a file system could compress
        self.write()
        sync_folder(path.absolute().parent)

    def _make_folders(self) -> None:
        for name in (SEGMENTS, JOURNALS):
            (self.path / name).mkdir(exist_ok=True)

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Open a run that did not finish, or is damaged, with what it has finished; `damage` says what it has lost.

        Raises:
            RunFolderError: it is no run folder, another process writes into it, or it cannot be written.
        """
        info = read_info(path)
        try:
            lock = Lock(path)
            try:
                info = read_info(path)  # again: another process may have ended just now
                if info.schema_version != SCHEMA_VERSION:
                    info = upgrade(path, info)
                survey = Survey.make(path, info)
                folder = cls(path, info.resumed(), lock, survey.finished)
                folder.damage = survey.damage
                folder._recover(survey)
            except BaseException:
                lock.release()
                raise
        except OSError as error:
            raise unwritable(path, error) from error
        return folder

    def _recover(self, survey: Survey) -> None:
        """Make the files agree with what is finished."""
        self._make_folders()
        drop_old_files(self.path)
        recover(survey)
        write_atomically(self.path / RESERVE, os.urandom(RESERVED))
        self.write()
        for number in numbered(self.path / JOURNALS, ".journal"):
            if not self._left[number]:
                self._seal(number)

    @property
    def records(self) -> Iterator[Record]:
        """Records of the finished samples that have lines, read one by one."""
        return iter_records(self.path)

    def image(self, index: int) -> Path | None:
        """The image file of a finished sample; None where it has none."""
        file = self.path / file_name(index, "images", ".png")
        return file if index in self._images and file.exists() else None

    def add_step(self, step: StepRecord) -> None:
        """Remember a step; it is written with its sample's result."""
        self._steps.setdefault(step.index, []).append(step)
        self.commit_if_due()

    def add_result(self, record: Record, rows: Mapping[str, Tensor] | None) -> None:
        """Write one finished sample.

        Args:
            record: what is known about it.
            rows: its latents, samples and measurements, one row each; None where it failed.
        """
        self._add(record, rows, self._steps.pop(record.index, []))

    def add_packed(self, packed: bytes) -> Record | None:
        """Write one finished sample that was made elsewhere, with its steps.

        Args:
            packed: what `equidiff.run.packed.pack` returned.

        Returns:
            Its record, with the path of its image; None where the folder has the sample already.

        Raises:
            RunFolderError: it is not a packed sample, or none of this run.
        """
        record, rows, steps = unpack(packed)
        return self._add(record, rows, steps)

    def _add(self, record: Record, rows: Mapping[str, Tensor] | None, steps: list[StepRecord]) -> Record | None:
        index = record.index
        if index not in self.info.indices:
            raise RunFolderError("This sample is none of the run.", given=f"index {index}", expected=self.info.indices)
        if index in self.finished:
            return None
        kind = None if rows is None else kind_from(self.info.kind, rows["samples"].shape[1:])
        record = replace(record, **own_file(index, kind if index in self._images else None))
        self._commits.add(record, rows, steps, kind)
        self.finished.add(index)
        self._left[index // self._size] -= 1
        self.commit_if_due()
        return record

    def commit_if_due(self) -> None:
        """Commit if the last time is a quarter of a second ago; it happens whenever a step or a sample comes, too."""
        if self._commits.is_due:
            self.commit()

    def commit(self) -> None:
        """Give finished samples their lines, once their tensors and images are on the disk."""
        with held_signals():  # or a Ctrl-C between a line and the note that it is written has it written twice
            for number in sorted(self._commits.commit()):
                if not self._left[number]:
                    self._seal(number)

    def _seal(self, number: int) -> None:
        """Write a segment whose samples are all finished, in place of its journal."""
        rows = Stored.find(self.path, self._size, {number}).rows_of(number)
        if rows:
            write_segment(self.path, number, rows)
        else:
            segment_file(self.path, number).unlink(missing_ok=True)
        journal_file(self.path, number).unlink(missing_ok=True)

    def finish(self, status: str, wall_s: float, error: str | None = None) -> None:
        """Put all lines in index order and say how the run ended.

        Args:
            status: "complete", "interrupted" or "failed".
            wall_s: seconds since the run began, or was resumed.
            error: why it failed.

        Raises:
            OSError: the folder cannot be written; its status is "failed" then, if only that can be written.
        """
        before = self.info
        try:
            if status == RUN_FAILED:
                self._say(before, status, wall_s, error)  # first, while it still can be said
            self.commit()
            for name in (MEMBERS, STEPS):
                sort_lines(self.path / name)
            write_sums(self.path, read_sums(self.path))
            write_table(self.path, self.info)
            self._say(before, status, wall_s, error)
            (self.path / RESERVE).unlink(missing_ok=True)
            if not any((self.path / JOURNALS).iterdir()):
                (self.path / JOURNALS).rmdir()
        except OSError as problem:
            with suppress(OSError):
                self._say(before, RUN_FAILED, wall_s, error or f"{type(problem).__name__}: {problem}")
            raise
        finally:
            self.close()

    def _say(self, before: RunInfo, status: str, wall_s: float, error: str | None) -> None:
        if status == RUN_FAILED:
            (self.path / RESERVE).unlink(missing_ok=True)  # a full disk has room then
        self.info = finished_info(before, self.records, status, max(wall_s, 0.0), error)
        self.write()

    def close(self) -> None:
        """Let other processes write into the folder."""
        self._lock.release()

    def write(self) -> None:
        """Replace `run.json` in one move."""
        write_atomically(self.path / "run.json", self.info.to_json())
