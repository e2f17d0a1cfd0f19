"""The `equidiff measure` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.cli.completion import complete_kind
from equidiff.cli.options import Device, Json, Plain, PluginFiles, Quiet, State, Traceback, examples

Images = Annotated[
    list[Path], typer.Argument(metavar="IMAGE|FOLDER...", help="Image files, or folders of images.", show_default=False)
]
Objective = Annotated[
    str,
    typer.Option(
        "--objective",
        "-o",
        metavar="SPEC",
        help="Objective to measure with.",
        autocompletion=complete_kind("objective"),
    ),
]
Generator = Annotated[
    str,
    typer.Option(
        "--generator",
        "-g",
        metavar="SPEC",
        help="Generator whose network is the objective's default.",
        autocompletion=complete_kind("generator"),
    ),
]

EPILOG = examples(
    "equidiff measure -o neuron:17 bag.png shoe.png",
    "equidiff measure -o classifier,output=distribution photos --json",
)


def measure(
    context: typer.Context,
    images: Images,
    objective: Objective,
    generator: Generator = "toy",
    device: Device = "auto",
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Measure images with an objective, exactly as a run measures its query.

    Prints a table. Where there are many outputs it shows the five highest, with probabilities for the classes of a
    classifier; --json has all. Exit code: 0 done, 3 some images cannot be measured, 1 none can or error, 2 usage, 130
    interrupted.
    """
    state: State = context.obj
    state.terminal.quiet = quiet
    with state.terminal.status("loading"):
        from equidiff.cli.handlers.measure import perform, prepare

        work = prepare(state.plugins(plugin), images, objective, generator, device)
    return perform(work, state.terminal, as_json)
