"""The `equidiff merge` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.cli.completion import complete_run
from equidiff.cli.options import OUTPUT, Json, Plain, Quiet, State, Traceback, examples
from equidiff.folders.paths import check_free

Parts = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...", help="Folders of all parts, in any order.", show_default=False, autocompletion=complete_run
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", metavar="FOLDER", help="Run folder to create.", show_default=False, rich_help_panel=OUTPUT),
]

EPILOG = examples("equidiff merge RUN-* --out RUN")


def merge(
    context: typer.Context,
    runs: Parts,
    out: Out,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Put the parts of a run together, which `equidiff run --part K/N` did.

    Prints the run folder's path. The run is the same as one that was not divided. Exit code: 0 all are members, 3 some
    are not, 1 error, 2 usage, 130 interrupted.
    """
    state: State = context.obj
    state.terminal.quiet = quiet
    check_free(out)
    with state.terminal.status("reading the parts"):
        from equidiff.cli.handlers.merge import perform
        from equidiff.run.merge import read_parts

        parts = read_parts(runs)
    return perform(parts, out, state.terminal, as_json)
