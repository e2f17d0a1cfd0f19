"""Write the report of a run or of a sweep, for `equidiff report`, and for `--report` of `run` and `sweep`."""

from __future__ import annotations

import os
from pathlib import Path

from equidiff.analysis.citations import citations
from equidiff.analysis.limits import ON_PAGE
from equidiff.analysis.report import write_report
from equidiff.analysis.sweep_report import write_overview
from equidiff.cli.options import State
from equidiff.errors import EquiDiffError, UsageError
from equidiff.folders.text import shell_word
from equidiff.run.finished import load_members
from equidiff.sweep.folder import RUNS
from equidiff.sweep.table import TABLE, read_sweep


def write_page(run: Path, state: State, out: Path | None = None, members: int = ON_PAGE) -> Path:
    """Write the page and return its path.

    Args:
        run: the run folder.
        state: plugins and terminal.
        out: the file to write; report.html in the run folder when absent.
        members: how many have a place on the page.
    """
    found = load_members(run)
    cited, _ = citations(found.info, state.plugins())
    with state.terminal.progress(2 * min(len(found), members), 0, "drawing") as show:
        return write_report(found, run, out or run / "report.html", cited, show, members)


def write_any_page(path: Path, state: State, out: Path | None, members: int, runs: bool) -> Path:
    """Write the page of a run, or of a sweep, and return its path.

    Args:
        path: the folder of either.
        state: plugins and terminal.
        out: the file to write; report.html in the folder when absent.
        members: how many have a place on the page of a run.
        runs: of a sweep, write the pages of its runs, too.
    """
    if os.path.isfile(path / TABLE):  # False for a name that is too long, too
        return write_sweep_page(path, state, out, members if runs else 0)
    if runs:
        raise UsageError(
            "--runs is for the folder of a sweep.",
            given=path,
            expected=f"a folder with a {TABLE}",
            hint=f"equidiff report {shell_word(path)}",
        )
    return write_page(path, state, out, members)


def write_sweep_page(path: Path, state: State, out: Path | None = None, members: int = 0) -> Path:
    """Write the overview of a sweep and return its path.

    Args:
        path: the folder of the sweep.
        state: plugins and terminal.
        out: the file to write; report.html in the folder when absent.
        members: how many have a place on the pages of the runs; 0 to leave these as they are.
    """
    rows = read_sweep(path).runs
    if members:
        found = [path / RUNS / row.name for row in rows if row.members]
        for number, run in enumerate(found, 1):
            state.terminal.note(f"page {number} of {len(found)}: {run.name}", "dim")
            _try_page(run, state, members)
    with state.terminal.progress(len(rows), 0, "drawing", delay=1.0) as show:
        return write_overview(path, out or path / "report.html", show)


def _try_page(run: Path, state: State, members: int) -> None:
    try:
        write_page(run, state, None, members)
    except EquiDiffError as error:  # the others have pages still
        state.terminal.note(f"{run.name}: {error.problem}", "yellow")
