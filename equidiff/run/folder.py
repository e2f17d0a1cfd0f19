"""The run folder: what a run leaves on disk, and what every other command reads (schema version 2; 1 still reads).

The query and the prior samples are on disk before the first sample, and each finished sample at once: its line in
`members.jsonl`, its image, its tensors under `partial/`. When the run ends these become `tensors.safetensors`.
`run.json` is replaced in one move, so a killed run reads as running, never as complete.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from equidiff.errors import RunFolderError
from equidiff.folders.atomic import write_atomically, write_image
from equidiff.folders.json_files import parse_json, read_lines
from equidiff.folders.paths import check_free, unwritable
from equidiff.folders.status import RUN_FAILED
from equidiff.folders.tensors import read_tensors as read_file
from equidiff.folders.tensors import write_tensors
from equidiff.images.convert import is_image, save_png
from equidiff.run.info import Counts, RunInfo, read_info
from equidiff.run.packed import ROWS
from equidiff.run.parts import count_classes
from equidiff.run.record import Record
from equidiff.search.engine import FAILED, MEMBER, NOT_CONVERGED, StepRecord

OF_QUERY = ("query", "query_latent")
PRIOR = "prior.safetensors"


class RunFolder:
    """Writes one run folder.

    Args:
        path: the folder; made by `create`, found by `reopen`.
        info: the content of `run.json`.
    """

    def __init__(self, path: Path, info: RunInfo) -> None:
        self.path = path
        self.info = info
        self.records: dict[int, Record] = {}
        self._steps: dict[int, list[str]] = {}

    @classmethod
    def create(
        cls,
        path: Path,
        info: RunInfo,
        query: Tensor | None = None,
        query_latent: Tensor | None = None,
        prior: Mapping[str, Tensor] | None = None,
    ) -> RunFolder:
        """Make a new folder.

        Args:
            path: where nothing is yet.
            info: what is known of the run, see `Session.describe`.
            query: `[1, ...]`, the query sample, where there is one.
            query_latent: `[1, *latent_shape]`, where the run starts from it.
            prior: the tensors of prior samples, if the run measured any.

        Raises:
            RunFolderError: something is there already, or it cannot be written.
        """
        check_free(path)
        folder = cls(path, info.began().model_copy(update={"run_folder": str(path.absolute())}))
        try:
            (path / "images").mkdir(parents=True)
            (path / "partial").mkdir()
            if query is not None:
                of_query = dict(zip(OF_QUERY, (query, query_latent), strict=True))
                own = {name: value.float().contiguous() for name, value in of_query.items() if value is not None}
                write_tensors(folder._partial_query, own)
                if is_image(query):
                    save_png(path / "query.png", query[0])
            if prior:
                write_tensors(path / PRIOR, prior)
            folder.write()
        except OSError as error:
            raise unwritable(path, error) from error
        return folder

    @classmethod
    def reopen(cls, path: Path) -> RunFolder:
        """Open a run that did not finish, with what it had finished; a torn last line is dropped.

        Raises:
            RunFolderError: it is no run folder, or is damaged.
        """
        folder = cls(path, read_info(path))
        (path / "partial").mkdir(exist_ok=True)
        (path / "images").mkdir(exist_ok=True)
        records = read_records(path)
        folder._scatter(read_tensors(path), records)
        folder.records = {
            record.index: record
            for record in records
            if record.status == FAILED or folder._partial(record.index).exists()
        }
        lines = [line for line in _lines(path / "steps.jsonl") if line["index"] in folder.records]
        write_atomically(path / "steps.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        write_atomically(path / "members.jsonl", "".join(r.to_json() + "\n" for r in folder.records.values()))
        folder.info = folder.info.resumed()
        folder.write()
        return folder

    def _scatter(self, tensors: dict[str, Tensor], records: list[Record]) -> None:
        """Undo `_gather`: rows back to `partial/`, where rows of samples still to come will join them."""
        if "query" in tensors:
            write_tensors(self._partial_query, {name: tensors[name] for name in OF_QUERY if name in tensors})
        if "latents" in tensors:
            for position, record in enumerate(records):
                if record.status != FAILED:
                    row = {name: tensors[name][position : position + 1].clone() for name in ROWS}
                    write_tensors(self._partial(record.index), row)
        (self.path / "tensors.safetensors").unlink(missing_ok=True)

    def add_step(self, step: StepRecord) -> None:
        """Remember a step; it is written with its sample's result."""
        line = json.dumps({**vars(step), "evaluations": round(step.evaluations, 3)})
        self._steps.setdefault(step.index, []).append(line)

    def add_result(self, record: Record, rows: Mapping[str, Tensor] | None) -> None:
        """Write one finished sample.

        Args:
            record: what is known about it.
            rows: its latents, samples and measurements, one row each; None where it failed.
        """
        if rows is not None:
            # cloned: a measurement may be a view of its sample, which the file format refuses
            own = {name: rows[name].float().contiguous().clone() for name in ROWS}
            write_tensors(self._partial(record.index), own)
            if is_image(rows["samples"]):
                record = replace(record, image=f"images/{record.index:05d}.png")
                save_png(self.path / str(record.image), rows["samples"][0])
        self.records[record.index] = record
        with (self.path / "steps.jsonl").open("a") as file:
            file.writelines(line + "\n" for line in self._steps.pop(record.index, []))
        with (self.path / "members.jsonl").open("a") as file:
            file.write(record.to_json() + "\n")
            file.flush()
            os.fsync(file.fileno())

    def finish(self, status: str, wall_s: float, error: str | None = None) -> None:
        """Put everything in index order and say how the run ended.

        Args:
            status: "complete", "interrupted" or "failed".
            wall_s: seconds since the run began, or was resumed.
            error: why it failed.
        """
        records = [self.records[index] for index in sorted(self.records)]
        self.info = finished_info(self.info, records, status, wall_s, error)
        if status == RUN_FAILED:
            self.write()  # first, while it still can be: a full disk may not have room for what follows
        write_atomically(self.path / "members.jsonl", "".join(record.to_json() + "\n" for record in records))
        tensors = self._gather(records)
        if tensors:
            write_tensors(self.path / "tensors.safetensors", tensors)
        self.write()
        shutil.rmtree(self.path / "partial")

    def add_image(self, name: str, image: Image.Image) -> Path:
        """Write an image about the run in one move, and return its path."""
        return write_image(self.path / name, image)

    def write(self) -> None:
        """Replace `run.json` in one move."""
        write_atomically(self.path / "run.json", self.info.to_json())

    def _gather(self, records: list[Record]) -> dict[str, Tensor]:
        """One row for each line of `members.jsonl`; not-a-number where a sample failed."""
        tensors = read_file(self._partial_query) if self._partial_query.exists() else {}
        parts = [None if each.status == FAILED else read_file(self._partial(each.index)) for each in records]
        return tensors | stack_rows(parts)

    @property
    def _partial_query(self) -> Path:
        return self.path / "partial" / "query.safetensors"

    def _partial(self, index: int) -> Path:
        return self.path / "partial" / f"{index:05d}.safetensors"


def stack_rows(parts: Sequence[Mapping[str, Tensor] | None]) -> dict[str, Tensor]:
    """Stack the tensors of samples, one row each; not-a-number where a sample has none. Empty where none has any."""
    done = [part for part in parts if part is not None]
    if not done:
        return {}
    blank = {name: torch.full_like(done[0][name], torch.nan) for name in ROWS}
    return {name: torch.cat([(part or blank)[name] for part in parts]) for name in ROWS}


def finished_info(
    info: RunInfo, records: Collection[Record], status: str, wall_s: float, error: str | None = None
) -> RunInfo:
    """The content of `run.json` at the end of a run: counts by status and class, and the evaluations of all samples.

    Args:
        info: as it was before.
        records: of the finished samples.
        status: "complete", "interrupted" or "failed".
        wall_s: seconds since the run began, or was resumed.
        error: why it failed.
    """
    number = Counter(record.status for record in records)
    counts = Counts(
        asked=info.counts.asked, members=number[MEMBER], not_converged=number[NOT_CONVERGED], failed=number[FAILED]
    )
    called = [record.called for record in records if record.status == MEMBER and record.called is not None]
    classes = count_classes((each.index, each.name) for each in called)
    return info.ended(status, wall_s, counts, round(sum(record.evaluations for record in records), 3), error, classes)


def read_records(path: Path) -> list[Record]:
    """The lines of `members.jsonl`, whole ones only, in file order.

    Raises:
        RunFolderError: a line is not one of a sample.
    """
    file = path / "members.jsonl"
    return [_record(line, f"{file}, line {number}") for number, line in enumerate(_lines(file), 1)]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """latents, samples, measurements, query, query_latent; empty before the first sample was finished.

    Raises:
        RunFolderError: the file is damaged.
    """
    return _read(path / "tensors.safetensors")


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return read_file(file) if file.exists() else {}
    except (SafetensorError, OSError) as error:
        raise RunFolderError(f"The tensors of this run cannot be read: {error}", given=file) from error


def read_prior(path: Path) -> dict[str, Tensor]:
    """Samples, measurements, losses and classes of the run's prior samples; empty where it measured none.

    Raises:
        RunFolderError: the file is damaged.
    """
    return _read(path / PRIOR)


def read_query(path: Path) -> dict[str, Tensor]:
    """Query and query_latent, those of them that there are, also of a run that has not ended."""
    partial = path / "partial" / "query.safetensors"
    tensors = read_file(partial) if partial.exists() else read_tensors(path)
    return {name: tensors[name] for name in OF_QUERY if name in tensors}


def _record(line: dict[str, Any], place: str) -> Record:
    try:
        return Record.from_dict(line)
    except ValueError:
        raise RunFolderError(
            "A line of members.jsonl cannot be read.",
            given=place,
            expected="a line for each sample, as equidiff run writes it",
        ) from None


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    parsed = map(_line, read_lines(path))
    return [line for line in parsed if line is not None]


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        return parse_json(text)
    except ValueError:
        return None  # the line that was being written when the run was killed
