"""The folder that `equidiff calibrate` makes (schema version 1).

    calibration.json  schema_version, status (running | interrupted | complete), plan, specs, statistics (their names),
                      features, tolerance, within, spread, device, dtype, weights, versions, started; once it has ended
                      finished, wall_s, result and warnings
    rows.jsonl        a line a query: its measurement and statistics, then those of its members
    ranks.png         histograms of the ranks

A line is written when all members of its query are found, so that an interruption loses one query at most.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from pydantic import ValidationError

from equidiff.analysis.calibration.plan import Plan
from equidiff.analysis.calibration.search import Row
from equidiff.errors import RunFolderError
from equidiff.folders.atomic import write_atomically
from equidiff.folders.json_files import parse_json, read_lines
from equidiff.folders.lock import Lock
from equidiff.folders.paths import check_free, check_own, unwritable
from equidiff.folders.status import RUNNING, read_description, timestamp
from equidiff.folders.text import to_json

SCHEMA_VERSION = 1
FILE, ROWS, IMAGE = "calibration.json", "rows.jsonl", "ranks.png"


class CalibrationFolder:
    """Folder of one calibration, which this process alone writes.

    Args:
        path: of the folder.
        info: the content of `calibration.json`.
        rows: those that are finished, by the number of the query.
    """

    def __init__(self, path: Path, info: dict[str, Any], rows: dict[int, Row]) -> None:
        self.path = path
        self.info = info
        self.rows = rows
        self._lock = Lock(path)

    @classmethod
    def create(cls, path: Path, description: Mapping[str, Any]) -> CalibrationFolder:
        """Make a new folder.

        Raises:
            RunFolderError: the path exists already, or cannot be written.
        """
        check_free(path)
        info = {"schema_version": SCHEMA_VERSION, "status": RUNNING, **description, "started": timestamp()}
        try:
            path.mkdir(parents=True)
            folder = cls(path, info, {})
            folder.write()
        except OSError as error:
            raise unwritable(path, error) from error
        return folder

    @classmethod
    def open(cls, path: Path) -> CalibrationFolder:
        """Open a folder to go on with; a last line that was cut off is removed.

        Raises:
            RunFolderError: it is not a calibration, is damaged, or another process writes it.
        """
        info = read_calibration(path)
        try:
            folder = cls(path, info, {})
            folder.rows = _read_rows(path / ROWS)
            write_atomically(path / ROWS, "".join(_line(row) for row in folder.rows.values()))
        except OSError as error:
            raise unwritable(path, error) from error
        return folder

    def check(self, statistics: list[str], names: tuple[str, ...]) -> None:
        """Refuse rows that are of other statistics or queries: the code, or the folder of images, has changed.

        Raises:
            RunFolderError: they are.
        """
        same = self.info["statistics"] == statistics and all(
            number < len(names) and names[number] == row.name and {*map(len, row.values)} <= {len(statistics)}
            for number, row in self.rows.items()
        )
        if not same:
            raise RunFolderError(
                "This calibration was begun with other queries or statistics.",
                given=self.path,
                expected="the same images, and the same version of EquiDiff",
            )

    def add(self, row: Row) -> None:
        """Keep the row of a query; it is on the disk when this returns.

        Raises:
            RunFolderError: it cannot be written.
        """
        try:
            with (self.path / ROWS).open("a", encoding="utf-8") as file:
                file.write(_line(row))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error
        self.rows[row.query] = row

    def end(self, status: str, wall_s: float, found: Mapping[str, Any]) -> None:
        """Write how it ended, and let others write into the folder."""
        before = self.info.get("wall_s", 0.0)
        self.info |= {"status": status, "finished": timestamp(), "wall_s": round(before + wall_s, 3), **found}
        self.write()
        self._lock.release()

    def draw(self, figure: Figure) -> Path:
        """Write the picture."""
        return write_atomically(self.path / IMAGE, lambda part: figure.savefig(part, format="png", dpi=150))

    def write(self) -> None:
        """Replace `calibration.json` in one move."""
        write_atomically(self.path / FILE, to_json(self.info, indent=2, allow_nan=False) + "\n")


def read_calibration(path: Path) -> dict[str, Any]:
    """Read `calibration.json`.

    Raises:
        RunFolderError: there is none, it is damaged, or of another schema version.
    """
    file = path / FILE
    absent = RunFolderError(
        "This is not a folder of equidiff calibrate.", given=path, expected=f"a folder with a {FILE}"
    )
    info = read_description(
        file, "calibration", SCHEMA_VERSION, {"status", "plan", "statistics"}, absent, _damaged(file)
    )
    check_own(path)
    try:
        Plan.model_validate(info["plan"])
    except ValidationError as error:
        raise _damaged(file) from error
    return info


def _read_rows(file: Path) -> dict[int, Row]:
    """The rows of whole lines."""
    rows: dict[int, Row] = {}
    if not file.exists():
        return rows
    lines = list(read_lines(file))
    for place, line in enumerate(lines):
        try:
            row = Row.model_validate(parse_json(line))
        except ValueError as error:
            if place == len(lines) - 1:  # cut off
                break
            raise _damaged(file) from error
        rows[row.query] = row
    return rows


def _line(row: Row) -> str:
    return to_json(row.model_dump(exclude_defaults=True)) + "\n"


def _damaged(file: Path) -> RunFolderError:
    return RunFolderError(
        "This file of a calibration is missing or damaged.", given=file, expected="a file that equidiff calibrate wrote"
    )
