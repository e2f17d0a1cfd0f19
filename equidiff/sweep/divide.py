"""The loop of a sweep whose runs are carried out by the workers of an executor; one process writes all folders."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from safetensors.torch import save

from equidiff.contracts import Executor
from equidiff.errors import EquiDiffError, first_line
from equidiff.folders.status import COMPLETE, INTERRUPTED, RUN_FAILED
from equidiff.parallel.dispatch import Dispatcher
from equidiff.parallel.work import Broken, Event, Found, Work
from equidiff.run.folder import RunFolder, read_query
from equidiff.run.info import read_info
from equidiff.run.record import Record
from equidiff.search.blocks import BLOCK
from equidiff.search.engine import FAILED
from equidiff.sweep.execute import SweepObserver, Tools, found
from equidiff.sweep.folder import SweepFolder
from equidiff.sweep.forecast import asked
from equidiff.sweep.table import Row
from equidiff.sweep.work import Order, Solved, measure, reason, solve


class _Run:
    """A run that workers are at.

    Args:
        row: of the table.
        path: of its folder.
        tools: says what the user allowed.
    """

    def __init__(self, row: Row, path: Path, tools: Tools) -> None:
        self.row, self._path = row, path
        self._run: RunFolder | None = None
        self._seconds = 0.0
        settings, here, files = dict(row.settings), str(Path.cwd()), tuple(map(str, tools.files))
        if not (path / "run.json").exists():
            self.order, self.todo = Order(row.name, settings, here, files), set(range(asked(row)))
            return
        info, latent = read_info(path), read_query(path).get("query_latent")
        self._run = RunFolder.reopen(path)
        self.order = Order(
            *(row.name, settings, here, files, str(path.absolute()), info),
            None if latent is None else save({"query_latent": latent.contiguous()}),
            settings.get("objective") if tools.run_code else None,
        )
        self.todo = {index for index in info.indices if index not in self._run.finished}

    def put(self, index: int, solved: Solved) -> Record | None:
        """Write a sample, and return its record; the first one makes the folder."""
        if solved.prepared is not None and self._run is None:
            self._run = solved.prepared.create(self._path)
        assert self._run is not None  # the first sample of the first call that ended has the description
        self._seconds += solved.seconds
        self.todo.discard(index)
        return self._run.add_packed(solved.packed)

    def lose(self, index: int, why: str) -> Record:
        """Record a sample that no worker survived."""
        record = Record(index, FAILED, 0, 0.0, 0.0, 0.0, 0.0, error=why)
        if self._run is not None:
            self._run.add_result(record, None)
        self.todo.discard(index)
        return record

    def finish(self, status: str, error: str | None = None) -> Row:
        """End the run; its row."""
        if self._run is not None:
            self._run.finish(status, self._seconds, error)
        row = found(self.row, self._path)
        return row if error is None else row.failed(error)


class _Division:
    """Runs given to workers, as many at a time as keep these busy."""

    def __init__(self, folder: SweepFolder, tools: Tools, executor: Executor, observer: SweepObserver) -> None:
        self._folder, self._tools, self._observer = folder, tools, observer
        self._costly = executor.costly
        self._executor = executor
        self._dispatcher: Dispatcher[Solved] = Dispatcher(executor)
        self._open: dict[Work[Solved], _Run] = {}
        self._waiting = iter(folder.todo)

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
                if isinstance(event, Found) and event.work in self._open:
                    self._open[event.work].put(event.index, event.value)
            for run in self._open.values():
                self._folder.put(run.finish(INTERRUPTED if run.todo else COMPLETE))

    def _fill(self) -> None:
        """Add runs until one waits, or all of them where a call takes long to begin."""
        while self._costly or not self._dispatcher.waiting:
            row = next(self._waiting, None)
            if row is None:
                return
            self._begin(row)

    def _begin(self, row: Row) -> None:
        try:
            run = _Run(row, self._folder.run_folder(row), self._tools)
        except EquiDiffError as error:
            self._end(row.failed(reason(error)))
            return
        if not run.todo:
            self._end(run.finish(COMPLETE))
            return
        work: Work[Solved] = Work(solve, run.order, sorted(run.todo), BLOCK)
        if not self._open:
            self._forecast(run.order)
        self._open[work] = run
        self._dispatcher.add(work)

    def _forecast(self, order: Order) -> None:
        """Have a worker prepare the first run, and measure a pass."""
        if not self._costly and not self._observer.has_forecast:
            with suppress(Exception):  # whatever is wrong with the run, its own call says
                self._observer.measured(self._executor.submit(measure, order).result(), self._executor.workers)

    def _take(self, event: Event[Solved]) -> None:
        run = self._open.get(event.work)
        if run is None:
            return  # it ended with an error, and this is the rest of what had come
        if isinstance(event, Broken):
            del self._open[event.work]
            self._end(run.finish(RUN_FAILED, first_line(event.error)))
            return
        found_one = isinstance(event, Found)
        record = run.put(event.index, event.value) if found_one else run.lose(event.index, event.reason)
        if not run.todo:
            del self._open[event.work]
            self._folder.put(run.finish(COMPLETE))
        if record is not None:
            self._observer.result(run.row, record)
        if not run.todo:
            self._observer.ended(self._folder.rows[run.row.name])

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
