"""The folder of a sweep: its table, `runs/`, and a journal of the rows that finished since the table was written.

The table is a summary of what the run folders say, so nothing is lost with it: a sweep that was killed is read back
from its plan in `sweep.json`, its journal, and its runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from equidiff.errors import EquiDiffError, RunFolderError
from equidiff.folders import text
from equidiff.folders.atomic import write_atomically
from equidiff.folders.json_files import parse_json
from equidiff.folders.lock import Lock
from equidiff.folders.paths import check_free, unwritable
from equidiff.folders.status import COMPLETE, INTERRUPTED, RUN_FAILED, RUNNING, timestamp
from equidiff.folders.text import shell_word
from equidiff.run.info import read_info
from equidiff.sweep.plan import key_of, name_runs, varied_settings
from equidiff.sweep.table import CSV, TABLE, Row, SweepInfo, read_sweep

RUNS, JOURNAL = "runs", "finished.jsonl"
SELDOM_S = 5.0  # the table is written again after so long, and no more often than it takes 1 % of the time
SHARE = 100.0


class SweepFolder:
    """Writes the folder of a sweep; named by `plan`, found by `reopen`."""

    def __init__(self, path: Path, info: SweepInfo) -> None:
        self.path = path
        self.info = info
        self.rows = {row.name: row for row in info.runs}
        self._lock: Lock | None = None
        self._before, self._began = info.wall_s, time.monotonic()
        self._written, self._cost = 0.0, 0.0

    @classmethod
    def plan(cls, path: Path, file: str, runs: Sequence[Mapping[str, str]]) -> SweepFolder:
        """Name the runs of a new sweep; nothing is written before `begin`.

        Args:
            path: where nothing is yet.
            file: the file of the sweep, as it was typed.
            runs: settings of each run.

        Raises:
            RunFolderError: something is there already.
        """
        check_free(path)
        varied = varied_settings(runs)
        rows = [Row(name=run.name, settings=dict(run.settings)) for run in name_runs(runs, varied)]
        info = SweepInfo(file=file, folder=str(Path.cwd()), varied=tuple(varied), started=timestamp())
        return cls(path, info.with_rows(rows))

    @classmethod
    def reopen(cls, path: Path) -> SweepFolder:
        """Open a sweep to go on with it: its rows as its runs have them.

        Raises:
            RunFolderError: it is no folder of a sweep, or is damaged.
        """
        folder = cls(path, read_sweep(path))
        for row in _read_journal(path / JOURNAL):
            if row.name in folder.rows and folder.rows[row.name].settings == row.settings:
                folder.rows[row.name] = row
        for row in list(folder.rows.values()):
            if not row.is_done or not (folder.run_folder(row) / "run.json").exists():  # a user removes what to do again
                folder.rows[row.name] = folder._look_at(row)
        return folder

    @property
    def todo(self) -> list[Row]:
        """Runs that are still to be carried out, or to be finished: those that failed are tried again.

        Runs of one generator follow each other, so that it is loaded once.
        """
        rows = [row for row in self.rows.values() if not row.is_done]
        groups = list(dict.fromkeys(map(_generator, rows)))
        return sorted(rows, key=lambda row: groups.index(_generator(row))) if len(groups) > 1 else rows

    def run_folder(self, row: Row) -> Path:
        """The folder of a run."""
        return self.path / RUNS / row.name

    def verify(self) -> list[str]:
        """Test the checksums of all complete runs; those that are damaged are carried out again, as far as needed.

        Returns:
            A sentence about each that is damaged.
        """
        found = []
        for row in list(self.rows.values()):
            damage = _damage(self.run_folder(row)) if row.is_done else None
            if damage is not None:
                self.rows[row.name] = row.model_copy(update={"status": INTERRUPTED})
                found.append(f"{row.name}: {damage}")
        return found

    def add_runs(self, runs: Sequence[Mapping[str, str]]) -> int:
        """Add the runs that a changed file has in addition.

        Args:
            runs: settings of all runs of the file.

        Returns:
            Number of runs that were added.

        Raises:
            RunFolderError: the file no longer has a run that the sweep has.
        """
        here = {key_of(row.settings) for row in self.rows.values()}
        asked = {key_of(settings) for settings in runs}
        if gone := [row for row in self.rows.values() if key_of(row.settings) not in asked]:
            raise RunFolderError(
                f"The file of this sweep has changed: {len(gone)} of {len(here)} runs of the folder are not in it.",
                given=f"{self.path}, without {gone[0].name}" + (" and others" if len(gone) > 1 else ""),
                expected="the same file, or one with more runs",
                hint=f"equidiff sweep --resume {shell_word(self.path)}, or another --out for the changed file",
            )
        new = [settings for settings in runs if key_of(settings) not in here]
        varied = varied_settings([*(row.settings for row in self.rows.values()), *new])
        self.info = self.info.model_copy(update={"varied": tuple(varied)})
        for run in name_runs(new, varied, first=len(self.rows)):
            self.rows[run.name] = Row(name=run.name, settings=dict(run.settings))
        return len(new)

    def begin(self) -> None:
        """Say that the sweep is under way, in a folder that is made where there is none.

        Raises:
            RunFolderError: it cannot be written, or another process is at it.
        """
        self.info = self.info.model_copy(update={"status": RUNNING, "finished": None})
        try:
            (self.path / RUNS).mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.path)
            self.write()
        except OSError as error:
            raise unwritable(self.path, error) from error

    def put(self, row: Row) -> None:
        """Keep a run's row; one that has ended is on disk when this returns."""
        self.rows[row.name] = row
        if row.status in {COMPLETE, RUN_FAILED}:
            with (self.path / JOURNAL).open("a", encoding="utf-8") as file:
                file.write(text.to_json(row.model_dump(exclude_none=True)) + "\n")
                file.flush()
                os.fsync(file.fileno())
        if time.monotonic() - self._written > max(SELDOM_S, SHARE * self._cost):
            self.write()

    def finish(self, status: str) -> None:
        """Say how the sweep ended, "complete" or "interrupted"; the table then has all that the journal has."""
        self.info = self.info.model_copy(update={"status": status, "finished": timestamp()})
        self.write()
        (self.path / JOURNAL).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()

    def write(self) -> None:
        """Replace the table, as JSON and as CSV, each in one move."""
        started = time.monotonic()
        wall_s = round(self._before + started - self._began, 3)
        self.info = self.info.with_rows(list(self.rows.values()), wall_s=wall_s)
        write_atomically(self.path / TABLE, self.info.to_json())
        write_atomically(self.path / CSV, self.info.to_csv())
        self._written = time.monotonic()
        self._cost = self._written - started

    def _look_at(self, row: Row) -> Row:
        """A row as the run folder has it; waiting where there is none that can be continued."""
        try:
            return row.filled(read_info(self.run_folder(row)))
        except EquiDiffError:
            return row if row.status == RUN_FAILED else row.waiting()


def _generator(row: Row) -> tuple[str | None, ...]:
    return tuple(row.settings.get(name) for name in ("generator", "device", "dtype"))


def _damage(path: Path) -> str | None:
    """A sentence about what a complete run has lost; runs of schema versions 1 and 2 have no checksums."""
    from equidiff.run.folder import Survey  # needs torch, which listing runs does not

    try:
        info = read_info(path)
        survey = Survey.make(path, info) if info.schema_version >= 3 else None
    except EquiDiffError as error:
        return error.problem
    if survey is None or survey.is_whole:
        return None
    count = len(survey.lost)
    lost = "one sample has no line, and is" if count == 1 else f"{count} samples have no line, and are"
    return survey.damage or f"Damaged: {lost} done again."


def _read_journal(file: Path) -> list[Row]:
    """Whole lines of the journal; a torn or damaged one is left out, as the run folder has what it said."""
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError:
        return []
    return [row for row in map(_row, lines) if row is not None]


def _row(line: bytes) -> Row | None:
    try:
        return Row.model_validate(parse_json(line))
    except ValueError:
        return None
