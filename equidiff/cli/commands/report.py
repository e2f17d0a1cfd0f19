"""The `equidiff report` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.options import Plain, PluginFiles, State, Traceback


def report(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write (default: report.html in the run folder).")
    ] = None,
    plugin: PluginFiles = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print nothing but the result.")] = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Put a run on one page: members to sort, filter and look at, plots, and the results of other commands.

    The page is a single file that works offline. Prints its path. Loads no component and runs none of the run's code.
    Exit code: 0 done, 1 error, 2 usage, 130 interrupted.
    """
    state: State = context.obj
    state.terminal.quiet = quiet
    with state.terminal.status("loading"):
        from equidiff.analysis.citations import citations
        from equidiff.analysis.report import write_report
        from equidiff.run.finished import load_members

        found = load_members(run)
        cited, _ = citations(found.info, state.plugins(plugin))
    try:
        with state.terminal.progress(2 * len(found), 0, "drawing") as show:
            path = write_report(found, run, out or run / "report.html", cited, show)
    except KeyboardInterrupt:
        state.terminal.note("Interrupted: nothing was written.")
        return INTERRUPTED
    state.terminal.result(str(path))
    return 0
