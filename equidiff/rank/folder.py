"""The folder that `equidiff rank` makes (schema version 1).

    rank.json             schema_version, status (running | interrupted | complete), settings, layer, reduction, units
                          (their number), first_unit (its spec), classes, device, weights, versions, counts, broken
                          (images and reasons), started, finished, wall_s, and concepts if there are any
    images.csv            image, label: a line per image
    activations/          00000.safetensors, ...: `activations` [256, units] of consecutive images of images.csv; not a
                          number where an image could not be read
    units.jsonl           a line per unit: its spec, its statistics, its strongest images
    tensors.safetensors   mean, maximum, active, sparsity [units], class_means [units, classes], top_rows and top_values
                          [units, top]
    concepts.safetensors  alignment [units, concepts], if the units were compared with concepts
    top.png               units and their strongest images

Every file is written atomically, so that a killed scan resumes after the last whole file of activations.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL.Image import Image
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from equidiff.errors import RunFolderError
from equidiff.folders.atomic import write_atomically, write_image
from equidiff.folders.json_files import parse_json, read_lines
from equidiff.folders.paths import check_free, check_own, is_inside, unwritable
from equidiff.folders.status import COMPLETE, RUNNING, read_description, timestamp
from equidiff.folders.tensors import read_tensors, utf8_path, write_tensors
from equidiff.folders.text import shell_word, to_json
from equidiff.images.folder import ImageFile
from equidiff.rank.info import RankInfo
from equidiff.rank.unit import Unit

SCHEMA_VERSION = 1
BROKEN = TypeAdapter(dict[str, str])
CHUNK_SIZE = 256  # images per file: the most work that a killed scan loses


class RankFolder:
    """Folder of one ranking, to write and to read.

    Args:
        path: path of the folder, which `create` makes and `open` finds.
        info: the content of `rank.json`.
        images: the images, in the order of the rows of activations.
    """

    def __init__(self, path: Path, info: dict[str, Any], images: list[ImageFile]) -> None:
        self.path = path
        self.info = info
        self.images = images

    @classmethod
    def create(cls, path: Path, description: Mapping[str, Any], images: list[ImageFile]) -> RankFolder:
        """Create a new folder.

        Raises:
            RunFolderError: the path exists already, or cannot be written.
        """
        check_unranked(path)
        counts = {"images": len(images), "scanned": 0, "broken": 0}
        info = {
            "schema_version": SCHEMA_VERSION,
            "status": RUNNING,
            **description,
            "started": timestamp(),
            "counts": counts,
        }
        folder = cls(path, info, images)
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(("image", "label"))
        rows.writerows((file.path, file.label or "") for file in images)
        try:
            (path / "activations").mkdir(parents=True)
            write_atomically(path / "images.csv", text.getvalue().encode("utf-8", "surrogateescape"))
            folder.write()
        except OSError as error:
            raise unwritable(path, error) from error
        return folder

    @classmethod
    def open(cls, path: Path) -> RankFolder:
        """Open a folder, finished or not.

        Raises:
            RunFolderError: it is not a ranking, or is damaged.
        """
        check_own(path)
        info = read_rank_info(path)
        try:
            with (path / "images.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                images = [ImageFile(row["image"], row["label"] or None) for row in csv.DictReader(file)]
        except (OSError, KeyError, ValueError, csv.Error) as error:
            raise _damaged(path / "images.csv") from error
        labels = {None, *info["classes"]}
        fit = all(is_inside(file.path) and file.label in labels for file in images)
        if not fit or len(images) != info["counts"]["images"]:
            raise _damaged(path / "images.csv")
        return cls(path, info, images)

    def require_complete(self) -> None:
        """Raise unless the scan has finished."""
        if self.info["status"] != COMPLETE:
            raise RunFolderError(
                "This scan did not finish.",
                given=self.path,
                expected="a finished scan",
                hint=f"equidiff rank --resume {shell_word(self.path)}",
            )

    def chunks(self) -> list[range]:
        """Rows of each file of activations."""
        count = len(self.images)
        return [range(start, min(start + CHUNK_SIZE, count)) for start in range(0, count, CHUNK_SIZE)]

    def missing(self) -> list[range]:
        """Chunks that have no file of activations yet."""
        return [rows for rows in self.chunks() if not self._file(rows).exists()]

    def add(self, rows: range, activations: Tensor, broken: Mapping[str, str]) -> None:
        """Write one file of activations, with the reason for each image that could not be read."""
        write_tensors(self._file(rows), {"activations": activations}, {"broken": json.dumps(broken)})

    def activations(self) -> Iterator[Tensor]:
        """Iterate over all stored activations, one file at a time."""
        for rows in self.chunks():
            yield self._read(rows)[0]

    def broken(self) -> dict[str, str]:
        """Images that could not be read, each with the reason."""
        return {
            image: reason
            for rows in self.chunks()
            if self._file(rows).exists()
            for image, reason in self._read(rows)[1]
        }

    def finish(self, units: list[Unit], tensors: Mapping[str, Tensor]) -> None:
        """Write the results of the finished scan."""
        write_tensors(self.path / "tensors.safetensors", tensors)
        self._write_units(units)
        self.info |= {"status": COMPLETE, "finished": timestamp()}
        self.write()

    def add_concepts(self, about: Mapping[str, Any], alignment: Tensor, units: list[Unit]) -> None:
        """Write the results of comparing units with concepts.

        Args:
            about: the concepts, and the model that compared them.
            alignment: `[units, concepts]`.
            units: the units, each with its nearest concept.
        """
        write_tensors(self.path / "concepts.safetensors", {"alignment": alignment})
        self._write_units(units)
        self.info["concepts"] = dict(about)
        self.write()

    def _write_units(self, units: list[Unit]) -> None:
        write_atomically(self.path / "units.jsonl", "".join(unit.to_json() + "\n" for unit in units))

    def read_units(self) -> list[Unit]:
        """Read the lines of `units.jsonl`, by index.

        Raises:
            RunFolderError: they cannot be read.
        """
        file = self.path / "units.jsonl"
        try:
            units = [Unit.from_json(line) for line in read_lines(file)]
        except (OSError, ValueError) as error:
            raise _damaged(file) from error
        if [unit.index for unit in units] != list(range(self.info["units"])):
            raise _damaged(file)
        return units

    def read_tensors(self) -> dict[str, Tensor]:
        """Read `tensors.safetensors`.

        Raises:
            RunFolderError: it cannot be read.
        """
        file = self.path / "tensors.safetensors"
        try:
            tensors = read_tensors(file)
        except (OSError, SafetensorError) as error:
            raise _damaged(file) from error
        means = tensors.get("class_means")
        if means is None or means.shape != (self.info["units"], len(self.info["classes"])):
            raise _damaged(file)
        return tensors

    def add_image(self, name: str, image: Image) -> Path:
        """Write an image about the ranking in one move, and return its path."""
        return write_image(self.path / name, image)

    def write(self) -> None:
        """Replace `rank.json` in one move."""
        write_atomically(self.path / "rank.json", to_json(self.info, indent=2) + "\n")

    def _file(self, rows: range) -> Path:
        return self.path / "activations" / f"{rows.start // CHUNK_SIZE:05d}.safetensors"

    def _read(self, rows: range) -> tuple[Tensor, list[tuple[str, str]]]:
        file = self._file(rows)
        try:
            with utf8_path(file) as path, safe_open(path, "pt") as content:
                broken = BROKEN.validate_python(parse_json((content.metadata() or {})["broken"]))
                activations = content.get_tensor("activations")
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise _damaged(file) from error
        if activations.shape != (len(rows), self.info["units"]) or not activations.is_floating_point():
            raise _damaged(file)
        return activations, list(broken.items())


def read_rank_info(path: Path) -> dict[str, Any]:
    """Read `rank.json`.

    Raises:
        RunFolderError: there is none, it is damaged, or of another schema version.
    """
    file = path / "rank.json"
    absent = RunFolderError("This is not a folder of equidiff rank.", given=path, expected="a folder with a rank.json")
    info = read_description(file, "ranking", SCHEMA_VERSION, set(), absent, _damaged(file))
    try:
        RankInfo.model_validate(info)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise _damaged(f"{file}, at {place}") from None
    return info


def check_unranked(path: Path) -> None:
    """Raise unless a ranking can be created at this path."""
    if (path / "rank.json").exists():
        raise RunFolderError(
            "This folder already holds a ranking.",
            given=path,
            expected="a new folder",
            hint=f"equidiff rank --resume {shell_word(path)}",
        )
    check_free(path)


def _damaged(file: object) -> RunFolderError:
    return RunFolderError(
        "This file of a ranking is missing or damaged.", given=file, expected="a file that equidiff rank wrote"
    )
