"""The `equidiff figure` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.cli.options import Device, Plain, PluginFiles, Quiet, Run, RunObjective, State, Traceback, examples

Name = Annotated[
    str,
    typer.Option(metavar="NAME", help="Figure: grid, logits, spectrum, cutoff, level-curves, or all that fit."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File to write, as png, svg or pdf by its extension; a folder for --name all "
        "(default: figures/NAME.png in the run folder).",
    ),
]

EPILOG = examples("equidiff figure RUN", "equidiff figure RUN --name spectrum --out spectrum.pdf")


def figure(
    context: typer.Context,
    run: Run,
    name: Name = "all",
    out: Out = None,
    device: Device = "auto",
    objective: RunObjective = None,
    plugin: PluginFiles = None,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Draw the thesis's figures of a run, all that fit it or one of them. Prints the path of each."""
    state: State = context.obj
    state.files += plugin or []
    state.terminal.quiet = quiet
    from equidiff.cli.handlers.figure import Arguments, perform

    return perform(Arguments(run, name, out, device, objective), state)
