"""The `equidiff report` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.analysis.limits import ON_PAGE
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.options import Plain, PluginFiles, Quiet, Run, State, Traceback

Out = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File to write (default: report.html in the run folder).")
]
Members = Annotated[
    int,
    typer.Option(metavar="COUNT", min=1, help="Members on the page; of a run with more, they are drawn by its seed."),
]
Runs = Annotated[bool, typer.Option("--runs", metavar="", help="Of a sweep: also write the page of each of its runs.")]
Open = Annotated[bool, typer.Option("--open", metavar="", help="Open the page in a browser.")]


def report(
    context: typer.Context,
    run: Run,
    out: Out = None,
    members: Members = ON_PAGE,
    runs: Runs = False,
    show: Open = False,
    plugin: PluginFiles = None,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Put a run on one page: members to sort, filter and look at, plots, and the results of other commands.

    Of the folder of a sweep, the page has a row for each run, with links to the pages of the runs. The page is a single
    file that works offline. Prints its path. Loads no component and runs none of the run's code.
    Exit code: 0 done, 1 error, 2 usage, 130 interrupted.
    """
    state: State = context.obj
    state.files += plugin or []
    state.terminal.quiet = quiet
    with state.terminal.status("loading"):
        from equidiff.cli.handlers.report import write_any_page
    try:
        path = write_any_page(run, state, out, members, runs)
    except KeyboardInterrupt:
        state.terminal.note("Interrupted: nothing was written.")
        return INTERRUPTED
    state.terminal.path(path)
    if show:
        typer.launch(str(path))
    return 0
