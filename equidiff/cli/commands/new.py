"""The `equidiff new` commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.cli.completion import complete_kinds
from equidiff.cli.options import Plain, State, Traceback, examples

EPILOG = examples(
    "equidiff new plugin equidiff-tint --kind regularizer",
    "equidiff new plugin equidiff-galaxies --kind generator --directory ./galaxies",
)
app = typer.Typer(no_args_is_help=True, help="Write a new plugin, complete and tested, to make your own.")


@app.callback()
def _group() -> None:
    """Keeps `plugin` a word of the command, though there is no other."""


@app.command(epilog=EPILOG)
def plugin(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the distribution, e.g. equidiff-tint, whose component then is 'tint'.",
            show_default=False,
        ),
    ],
    kind: Annotated[
        str,
        typer.Option(
            metavar="KIND",
            help="generator, objective, regularizer, solver, law, attribution or executor.",
            autocompletion=complete_kinds,
            show_default=False,
        ),
    ],
    directory: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to write, new or empty (default: NAME, here).")
    ] = None,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Write a small, complete distribution with one component that works, to put your own in its place.

    It has an entry point, tests that call the contract checks of equidiff.testing, and a workflow for GitHub Actions.
    Prints the path of its folder. Exit code: 0 done, 1 error, 2 usage.
    """
    from equidiff.cli.handlers.new import write_plugin  # needs jinja2, which `--help` does not

    state: State = context.obj
    return write_plugin(name, kind, directory, state)
