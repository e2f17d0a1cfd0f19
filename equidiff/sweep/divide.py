"""The loop of a sweep whose runs are carried out by the workers of an executor; one process writes all folders.

A run is two works: a worker prepares it, and then workers find its samples. Runs are given out as workers need some, so
that one run is prepared while the samples of another are found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from equidiff.contracts import Executor
from equidiff.errors import EquiDiffError
from equidiff.folders.status import COMPLETE, INTERRUPTED, RUN_FAILED
from equidiff.parallel.dispatch import Dispatcher
from equidiff.parallel.execute import lost_record, take_over
from equidiff.parallel.prepare import Question, prepare_pieces, unpack_prepared
from equidiff.parallel.solve import Order, read_news, solve_pieces
from equidiff.parallel.spool import FOLDER, Spool
from equidiff.parallel.work import Broken, Event, Found, Told, Work
from equidiff.run.folder import RunFolder, read_query
from equidiff.run.info import read_info
from equidiff.run.own_code import check_named
from equidiff.run.packed import pack
from equidiff.run.record import Record
from equidiff.search.blocks import BLOCK
from equidiff.sweep.check import to_settings
from equidiff.sweep.execute import SweepObserver, Tools, found, reason, with_images
from equidiff.sweep.folder import SweepFolder
from equidiff.sweep.forecast import measure_question
from equidiff.sweep.table import Row

QUICK_S = 0.1  # a pass that takes less: giving out a call takes longer than the call, so that calls have several runs
AHEAD, MOST_OPEN = 32, 256  # quick runs that are given out for each worker, and at all: each has open files


class _Run:
    """A run that workers are at.

    Args:
        row: of the table.
        path: of its folder.
    """

    def __init__(self, row: Row, path: Path) -> None:
        self.row, self.path = row, path
        self.todo: set[int] = set()
        self._folder: RunFolder | None = None
        self._spool: Spool | None = None
        self._began = time.monotonic()

    def search(self, folder: RunFolder, latent: Tensor | None, files: tuple[Path, ...]) -> Work[Any] | None:
        """The work of finding its samples; None where all are found."""
        self._folder = folder
        self.todo = set(folder.info.indices) - folder.finished
        if not self.todo:
            return None
        self._spool = Spool(self.path / FOLDER)
        order = Order.of(folder.info, latent, path=self.path, files=files, spool=self._spool.address)
        return Work(solve_pieces, order, sorted(self.todo), BLOCK, self._spool.arrived)

    def commit_if_due(self) -> None:
        """Give samples their lines that have waited for a quarter of a second."""
        if self._folder is not None:
            self._folder.commit_if_due()

    def put(self, index: int, packed: bytes) -> Record | None:
        """Write a sample, and return its record; None where the folder has it."""
        assert self._folder is not None  # a search begins with it
        self.todo.discard(index)
        return self._folder.add_packed(packed)

    def finish(self, status: str, error: str | None = None) -> Row:
        """End the run; its row."""
        if self._folder is not None:
            self._folder.finish(status, time.monotonic() - self._began, error)
        if self._spool is not None:
            self._spool.remove()
        row = found(self.row, self.path)
        return row if error is None else row.failed(error)


class _Division:
    """Runs given to workers, as many at a time as keep these busy."""

    def __init__(self, folder: SweepFolder, tools: Tools, executor: Executor, observer: SweepObserver) -> None:
        self._folder, self._tools, self._executor, self._observer = folder, tools, executor, observer
        self._files = tuple(tools.files)
        self._dispatcher: Dispatcher[Any] = Dispatcher(executor, between=self._commit)
        self._open: dict[Work[Any], _Run] = {}
        self._waiting = iter(folder.todo)
        self._most_open = 0  # beyond which runs are added only where none waits

    def run(self) -> None:
        """Carry out all runs."""
        self._fill()
        for event in self._dispatcher:
            self._take(event)
            self._fill()

    def stop(self) -> None:
        """Write what has come until now, and close all runs as interrupted."""
        with suppress(OSError):  # a disk that is full must not hide that it is
            for event in self._dispatcher.rest():
                if isinstance(event, Found) and event.work in self._open and event.work.function is solve_pieces:
                    self._open[event.work].put(event.index, event.value)
            for run in self._open.values():
                self._folder.put(run.finish(INTERRUPTED))

    def _fill(self) -> None:
        """Add runs until one waits, or all of them where a call takes long to begin."""
        while self._executor.costly or not self._dispatcher.waiting or len(self._open) < self._most_open:
            row = next(self._waiting, None)
            if row is None:
                return
            run = _Run(row, self._folder.run_folder(row))
            self._attempt(run, lambda run=run: self._begin(run))

    def _attempt(self, run: _Run, begin: Callable[[], Work[Any] | None]) -> None:
        """Add the next work of a run; the run ends where there is none, or where it cannot begin."""
        try:
            work = begin()
        except EquiDiffError as error:
            self._end(run.finish(RUN_FAILED, reason(error)))
            return
        if work is None:
            self._end(run.finish(COMPLETE))
            return
        self._open[work] = run
        self._dispatcher.add(work)

    def _begin(self, run: _Run) -> Work[Any] | None:
        settings = run.row.settings
        if not (run.path / "run.json").exists():
            question = Question.of(to_settings(settings), self._files, default_to_query=True)
            self._forecast(question)
            return Work(prepare_pieces, question, [0])
        info = read_info(run.path)
        check_named(info, settings.get("objective") if self._tools.run_code else None, self._files)
        folder = RunFolder.reopen(run.path)
        take_over(folder)
        latent = read_query(run.path).get("query_latent") if info.starts_from_query else None
        return run.search(folder, latent, self._files)

    def _forecast(self, question: Question) -> None:
        """Have a worker measure a pass of the first run."""
        if self._executor.costly or self._observer.has_forecast or self._open:
            return
        with suppress(Exception):  # whatever is wrong with the run, its own call says
            measured = self._executor.submit(measure_question, question).result()
            self._observer.measured(measured, self._executor.workers)
            if measured.seconds < QUICK_S:
                self._most_open = min(AHEAD * self._executor.workers, MOST_OPEN)

    def _take(self, event: Event[Any]) -> None:
        run = self._open.get(event.work)
        if run is None:
            return  # it ended with an error, and this is the rest of what had come
        if isinstance(event, Broken):
            self._close(event.work, run.finish(RUN_FAILED, reason(event.error)))
        elif isinstance(event, Told):
            self._observer.batch_reduced(run.row, read_news(event.news))
        elif event.work.function is prepare_pieces:
            del self._open[event.work]
            if isinstance(event, Found):
                self._attempt(run, lambda: self._create(run, event.value))
            else:
                self._end(run.finish(RUN_FAILED, f"No worker could prepare the run: {event.reason}"))
        else:
            packed = event.value if isinstance(event, Found) else pack(lost_record(event), None)
            record = run.put(event.index, packed)
            if record is not None:
                self._observer.result(run.row, record)
            if not run.todo:
                self._close(event.work, run.finish(COMPLETE))

    def _create(self, run: _Run, answer: tuple[str, bytes]) -> Work[Any] | None:
        ready = unpack_prepared(*answer)
        info = with_images(ready.info, run.row.settings)
        folder = RunFolder.create(run.path, info, ready.query, ready.query_latent, ready.prior)
        return run.search(folder, ready.query_latent, self._files)

    def _commit(self) -> None:
        for run in self._open.values():
            run.commit_if_due()

    def _close(self, work: Work[Any], row: Row) -> None:
        del self._open[work]
        self._end(row)

    def _end(self, row: Row) -> None:
        self._folder.put(row)
        self._observer.ended(row)


def carry_out_divided(folder: SweepFolder, tools: Tools, executor: Executor, observer: SweepObserver) -> None:
    """Carry out the runs that are still to be done, by the workers of an executor, which is shut down at the end.

    Args:
        folder: of the sweep.
        tools: says what the user allowed.
        executor: carries out calls.
        observer: is told of each run and sample.

    Raises:
        KeyboardInterrupt: after the sweep was closed as interrupted.
        OSError: the disk is full or read-only, likewise.
    """
    folder.begin()
    division = _Division(folder, tools, executor, observer)
    try:
        with executor:
            division.run()
    except BaseException:
        try:
            division.stop()
        finally:
            folder.finish(INTERRUPTED)
        raise
    folder.finish(COMPLETE)
