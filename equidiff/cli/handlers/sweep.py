"""Run `equidiff sweep`: checks, plan, forecast, progress, and what was found."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from equidiff.cli.console import Terminal
from equidiff.cli.console.progress import Show as Progress
from equidiff.cli.exit_codes import INTERRUPTED, NOT_ALL_MEMBERS
from equidiff.cli.handlers.grid import draw_images
from equidiff.cli.handlers.progress import describe_reduction
from equidiff.cli.handlers.report import write_sweep_page
from equidiff.cli.handlers.workers import INLINE
from equidiff.cli.options import Show, State
from equidiff.contracts import BuildContext, Executor, Shared
from equidiff.errors import RunFolderError
from equidiff.folders.status import COMPLETE, RUN_FAILED
from equidiff.folders.status import INTERRUPTED as STOPPED
from equidiff.folders.text import shell_command
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.registry.specs import Spec
from equidiff.run.info import read_info
from equidiff.run.record import Record
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import MEMBER
from equidiff.sweep.check import RUN_CODE
from equidiff.sweep.check_models import check_models
from equidiff.sweep.divide import carry_out_divided
from equidiff.sweep.execute import Tools, carry_out
from equidiff.sweep.folder import SweepFolder
from equidiff.sweep.forecast import MeasuredPass, asked, duration
from equidiff.sweep.open import Opened
from equidiff.sweep.table import TABLE, WAITING, Row

MOST_LISTED = 8  # failed runs in the conclusion
MOST_SHOWN = 40  # runs of a plan on a terminal


@dataclass(frozen=True)
class Work:
    """A sweep to carry out.

    Attributes:
        opened: the sweep.
        tools: to build runs with.
        executor: carries out the runs; None for this process.
    """

    opened: Opened
    tools: Tools
    executor: Executor | None = None

    @property
    def folder(self) -> SweepFolder:
        """The folder of the sweep."""
        return self.opened.folder


def prepare(
    opened: Opened,
    plugins: Plugins,
    files: Sequence[Path],
    run_code: bool,
    executor: str | None = None,
    verbose: bool = False,
) -> Work:
    """Check what needs the models.

    Args:
        opened: the sweep.
        plugins: where specs are looked up.
        files: plugin files.
        run_code: the user allows code that the sweep names.
        executor: the spec of the executor; this process carries out the runs when absent.
        verbose: show what the executor's libraries log.
    """
    tools = Tools(plugins, files, run_code)
    if opened.document is not None:
        check_models(opened.document, opened.runs, plugins, tools.shared)
    if executor is None or Spec.parse(executor).name == INLINE:
        return Work(opened, tools)
    device = next((row.settings["device"] for row in opened.folder.rows.values() if "device" in row.settings), "auto")
    built = build(plugins, "executor", executor, BuildContext(device=device, verbose=verbose))
    return Work(opened, replace(tools, shared=Shared()), built.component)  # memory is for the workers


def list_runs(work: Work, terminal: Terminal, as_json: bool) -> int:
    """Print the runs of a sweep that is not carried out."""
    rows, varied = list(work.folder.rows.values()), work.folder.info.varied
    for note in work.opened.notes:
        terminal.note(note)
    if as_json:
        terminal.json(json.dumps([{"name": row.name, "settings": row.settings, "status": row.status} for row in rows]))
        return 0
    shown = rows if len(rows) <= MOST_SHOWN or terminal.plain else rows[:MOST_SHOWN]
    cells = [[row.name, *(row.settings.get(name, "") for name in varied)] for row in shown]
    terminal.table(["run", *varied], cells, spare=varied[::-1])
    if len(shown) < len(rows):
        terminal.note(f"... and {len(rows) - len(shown)} more; equidiff sweep --dry-run --plain lists all.")
    terminal.facts(_plan(work), dim=True)
    return 0


def perform(work: Work, state: State, show: Show) -> int:
    """Carry out the sweep, print about it, and return the exit code."""
    terminal, folder = state.terminal, work.folder
    for note in work.opened.notes:
        terminal.note(note)
    terminal.facts(_plan(work), dim=True)
    interrupted = False
    try:
        _search(work, terminal, show.verbose)
    except KeyboardInterrupt:
        interrupted = True
    except OSError as error:
        raise RunFolderError(
            f"The sweep had to stop: {error.strerror or error}",
            given=error.filename or folder.path,
            expected="a disk with free space and write permission",
            hint=f"{_again(work)}   # keeps the finished runs",
        ) from error
    page = write_sweep_page(folder.path, state) if show.report and not interrupted else None
    _conclude(work, terminal, page)
    if interrupted:
        terminal.command("continue with", _again(work))
        return INTERRUPTED
    if page is None:
        terminal.command("look", shell_command(["equidiff", "report", str(folder.path), "--open"]))
    terminal.answer(folder.path, TABLE if show.as_json else None)
    samples = folder.info.samples
    good = samples["members"] == samples["asked"] and folder.info.counts.get(COMPLETE) == folder.info.counts["runs"]
    return 0 if good else NOT_ALL_MEMBERS


def _search(work: Work, terminal: Terminal, verbose: bool) -> None:
    folder = work.folder
    total = sum(map(asked, folder.rows.values()))
    done = total - sum(map(asked, folder.todo))
    with terminal.progress(total, done) as progress:
        watch = _Watch(folder, terminal, progress, done, verbose)
        if work.executor is None:
            carry_out(folder, work.tools, watch)
        else:
            carry_out_divided(folder, work.tools, work.executor, watch)


def _plan(work: Work) -> list[tuple[str, object]]:
    """The size of the sweep, and what is left of it."""
    folder = work.folder
    todo = folder.todo
    rest = "" if len(todo) == len(folder.rows) else f", {len(todo)} of them still to do"
    samples = sum(map(asked, todo))
    common = {name: text for name, text in next(iter(folder.rows.values())).settings.items()}
    same = [f"{name} {text}" for name, text in common.items() if name not in folder.info.varied]
    rows: list[tuple[str, object]] = [
        ("runs", f"{len(folder.rows)}{rest}"),
        ("samples", f"{samples} to find"),
        ("varied", ", ".join(_ranges(folder)) or "nothing"),
    ]
    return [*rows, *([("the same", ", ".join(same))] if same else []), ("folder", folder.path)]


def _ranges(folder: SweepFolder) -> list[str]:
    """The settings that runs differ in, each with the number of its values."""
    values = {name: {row.settings.get(name) for row in folder.rows.values()} for name in folder.info.varied}
    return [f"{name} ({len(texts)})" for name, texts in values.items()]


def _again(work: Work) -> str:
    """The command that goes on with a sweep, with all that it must name again."""
    words = ["equidiff", "sweep", "--resume", str(work.folder.path), *([RUN_CODE] if work.tools.run_code else [])]
    return shell_command([*words, *(word for file in work.tools.files for word in ("--plugin", str(file)))])


def _conclude(work: Work, terminal: Terminal, page: Path | None) -> None:
    folder, info = work.folder, work.folder.info
    counts, samples = info.counts, info.samples
    others = ", ".join(f"{counts[name]} {name}" for name in (RUN_FAILED, STOPPED, WAITING) if counts.get(name))
    runs = f"{counts.get(COMPLETE, 0)} of {counts['runs']} complete{', ' + others if others else ''}"
    each = f", {info.evaluations / samples['asked']:.1f} evaluations a sample" if samples["asked"] else ""
    terminal.facts(
        [
            ("runs", f"{runs}; {duration(info.wall_s)}"),
            ("members", f"{samples['members']} of {samples['asked']}{each}"),
            ("table", f"{folder.path / TABLE}, and as CSV beside it"),
            *([] if page is None else [("page", page)]),
        ]
    )
    failed = [row for row in folder.rows.values() if row.status == RUN_FAILED]
    if failed:
        rows = [(row.name[:5], _describe_failure(row, info.varied)) for row in failed[:MOST_LISTED]]
        if len(failed) > len(rows):
            rows.append(("and", f"{len(failed) - len(rows)} more, see {folder.path / TABLE}"))
        rows.append(("again", _again(work)))
        terminal.panel("failed", f"{len(failed)} of {counts['runs']} runs failed.", rows, "yellow")


def _describe_failure(row: Row, varied: Sequence[str]) -> str:
    settings = [
        text if name == "objective" else f"{name} {text}" for name, text in row.settings.items() if name in varied
    ]
    return ": ".join([*([", ".join(settings)] if settings else []), row.error or "no reason is known"])


class _Watch:
    """Shows the progress of a sweep, and the forecast of its cost."""

    def __init__(self, folder: SweepFolder, terminal: Terminal, progress: Progress, done: int, verbose: bool) -> None:
        self._folder, self._terminal, self._progress, self._verbose = folder, terminal, progress, verbose
        self._done, self._runs = done, sum(row.is_done for row in folder.rows.values())
        self._found: Counter[str] = Counter()
        self._failed = 0
        self._of_run: Counter[str] = Counter()  # finished samples, by run
        self._batch = math.inf
        self.has_forecast = False

    def measured(self, measured: MeasuredPass, workers: int) -> None:
        """A pass of the first run was measured."""
        self.has_forecast = True
        most = measured.at_most(self._folder.todo, workers)
        self._terminal.note(
            f"A pass of {measured.rows} samples takes {duration(measured.seconds)}: the search takes at most "
            f"{duration(most)}, if every sample costs its whole budget ({measured.budget:g} evaluations)."
        )

    def result(self, row: Row, record: Record) -> None:
        """A sample is finished."""
        self._found[record.status] += 1
        self._done += 1
        self._of_run[row.name] += 1
        self._show(row)

    def batch_reduced(self, row: Row, event: BatchReduced) -> None:
        """Passes of a run have become smaller; that of other runs, with passes as small, is not said again."""
        if event.batch < self._batch:
            self._batch = event.batch
            self._terminal.note(f"{row.name}: {describe_reduction(event)}", "yellow")

    def ended(self, row: Row) -> None:
        """A run ended, or failed."""
        self._runs += row.is_done
        if row.is_done and row.members:
            path = self._folder.run_folder(row)
            draw_images(path, read_info(path))
        if row.status == RUN_FAILED:
            self._failed += 1
            self._done += asked(row) - self._of_run[row.name]  # nobody waits for the others any more
            self._terminal.note(f"{row.name} failed: {row.error}", "yellow")
        elif self._verbose:
            cost = f"{row.evaluations or 0:.0f} evaluations, {duration(row.wall_s or 0)}"
            self._terminal.note(f"{row.name}: {row.members} of {row.asked} members, {cost}")
        self._show(row)

    def _show(self, row: Row) -> None:
        failed = f", {self._failed} failed" if self._failed else ""
        state = f"{self._runs} of {len(self._folder.rows)} runs complete{failed}; {row.name}"
        self._progress(self._done, f"{state}; {self._found[MEMBER]} members")
