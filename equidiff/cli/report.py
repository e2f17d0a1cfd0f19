"""`equidiff report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.cli.options import Plain, PluginFiles, State, Traceback


def report(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write. (default: report.html in the run folder)")
    ] = None,
    plugin: PluginFiles = None,
    plain: Plain = False,
    traceback: Traceback = False,
) -> None:
    """Put a run on one page: members to sort, filter and look at, plots, and what other commands measured.

    The page is one file that needs no network. Prints its path. Loads no component, and runs no code of the run's.
    """
    state: State = context.obj
    with state.terminal.status("loading"):
        from equidiff.citations import citations
        from equidiff.finished import load_members
        from equidiff.report import write_report

        found = load_members(run)
        cited, _ = citations(found.info, state.plugins(plugin))
    with state.terminal.progress(2 * len(found), 0, "drawing") as show:
        path = write_report(found, run, out or run / "report.html", cited, show)
    state.terminal.result(str(path))
