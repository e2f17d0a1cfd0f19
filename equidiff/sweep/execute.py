"""The loop of a sweep: one run after another; one that fails does not stop the others."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from equidiff.contracts import Shared
from equidiff.errors import EquiDiffError
from equidiff.folders.status import COMPLETE, INTERRUPTED
from equidiff.parallel.execute import take_over
from equidiff.registry.manager import Plugins
from equidiff.run.execute import execute
from equidiff.run.folder import RunFolder, read_query
from equidiff.run.image_files import ImageFiles
from equidiff.run.info import RunInfo, read_info
from equidiff.run.record import Record
from equidiff.run.reopen import reopen
from equidiff.run.session import Session, prepare
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import StepRecord
from equidiff.sweep.check import to_settings
from equidiff.sweep.folder import SweepFolder
from equidiff.sweep.forecast import MeasuredPass, measure_pass
from equidiff.sweep.table import Row

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}  # no other run would do better


@dataclass(frozen=True)
class Tools:
    """What runs are built with.

    Attributes:
        plugins: where specs are looked up.
        files: plugin files that the user named.
        run_code: the user allows code that the sweep names.
        shared: generators and networks that runs share.
    """

    plugins: Plugins
    files: Sequence[Path] = ()
    run_code: bool = False
    shared: Shared = field(default_factory=Shared)


class SweepObserver(Protocol):
    """Watches a sweep.

    Attributes:
        has_forecast: a pass was measured.
    """

    has_forecast: bool

    def measured(self, measured: MeasuredPass, workers: int) -> None:
        """A pass of the first run was measured, before the search begins."""

    def result(self, row: Row, record: Record) -> None:
        """A sample of a run is finished."""

    def batch_reduced(self, row: Row, event: BatchReduced) -> None:
        """A pass of a run ran out of memory; its passes are smaller from now on."""

    def ended(self, row: Row) -> None:
        """A run ended, or failed."""


def carry_out(folder: SweepFolder, tools: Tools, observer: SweepObserver) -> None:
    """Carry out the runs that are still to be done.

    Args:
        folder: of the sweep.
        tools: to build runs with.
        observer: is told of each run and sample.

    Raises:
        KeyboardInterrupt: after the sweep was closed as interrupted.
        OSError: the disk is full or read-only, likewise.
    """
    folder.begin()
    try:
        for row in folder.todo:
            folder.put(_attempt(folder, row, tools, observer))
            observer.ended(folder.rows[row.name])
    except BaseException:
        folder.finish(INTERRUPTED)
        raise
    folder.finish(COMPLETE)


def _attempt(folder: SweepFolder, row: Row, tools: Tools, observer: SweepObserver) -> Row:
    """The row of a run that was carried out, or that failed."""
    path = folder.run_folder(row)
    try:
        session, run, todo = _open(path, row, tools)
        with closing(run):  # also where the search does not begin
            if not observer.has_forecast:
                observer.measured(measure_pass(session), workers=1)
            execute(session, run, todo, _Watch(row, observer))
    except KeyboardInterrupt:
        folder.put(found(row, path))
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK:
            folder.put(found(row, path))
            raise
        return found(row, path).failed(reason(error))
    return row.filled(run.info)


def found(row: Row, path: Path) -> Row:
    """The row of a run as its folder has it; waiting where there is none."""
    try:
        return row.filled(read_info(path))
    except EquiDiffError:
        return row.waiting()


def _open(path: Path, row: Row, tools: Tools) -> tuple[Session, RunFolder, Sequence[int]]:
    """Prepare a run, or the rest of one that was interrupted or failed."""
    if (path / "run.json").exists():
        info = read_info(path)
        # what the sweep itself names was checked; the run must name the same
        objective = row.settings.get("objective") if tools.run_code else None
        session = reopen(
            info,
            read_query(path).get("query_latent") if info.starts_from_query else None,
            tools.plugins,
            objective=objective,
            files=tools.files,
            path=path,
            shared=tools.shared,
        )
        run = RunFolder.reopen(path)
        take_over(run)
        return session, run, [index for index in info.indices if index not in run.finished]
    session = prepare(to_settings(row.settings), tools.plugins, default_to_query=True, shared=tools.shared)
    info = with_images(session.describe(), row.settings)
    latent = None if session.start is None else session.start.latent
    run = RunFolder.create(path, info, session.kept_query, latent, session.prior_tensors)
    return session, run, info.indices


def with_images(info: RunInfo, settings: Mapping[str, str]) -> RunInfo:
    """A run with the setting `images`, which is one of its folder."""
    if "images" not in settings:
        return info
    return info.model_copy(update={"images": str(ImageFiles.parse(settings["images"]))})


def reason(error: Exception) -> str:
    """The reason why a run failed, in one line."""
    if isinstance(error, EquiDiffError):
        given = "" if error.given is None else f" ({error.given})"
        return " ".join(f"{error.problem}{given}".split())
    return " ".join(f"{type(error).__name__}: {error}".split())


class _Watch:
    """Passes the results of a run on."""

    def __init__(self, row: Row, observer: SweepObserver) -> None:
        self._row, self._observer = row, observer

    def step(self, step: StepRecord) -> None:
        """A sample made a step."""

    def result(self, record: Record) -> None:
        """A sample is finished."""
        self._observer.result(self._row, record)

    def batch_reduced(self, event: BatchReduced) -> None:
        """A pass ran out of memory."""
        self._observer.batch_reduced(self._row, event)
