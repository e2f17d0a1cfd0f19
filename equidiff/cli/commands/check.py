"""The `equidiff check` command."""

from __future__ import annotations

from typing import Annotated

import typer

from equidiff.cli.completion import complete_kind
from equidiff.cli.options import Device, Json, Plain, PluginFiles, Quiet, State, Traceback, examples

What = Annotated[
    str,
    typer.Argument(
        metavar="SPEC|FILE|PLUGIN",
        help="Spec of a component, a one-file plugin (which runs its code), or the name of an installed plugin.",
        show_default=False,
    ),
]
Kind = Annotated[str | None, typer.Option(metavar="KIND", help="Kind of the component, where several have the name.")]
Generator = Annotated[
    str | None,
    typer.Option(
        "--generator",
        "-g",
        metavar="SPEC",
        help="Generator whose samples it is tried on (default: the plugin's own, else toy).",
        autocompletion=complete_kind("generator"),
    ),
]
Objective = Annotated[
    str | None,
    typer.Option(
        "--objective",
        "-o",
        metavar="SPEC",
        help="Objective that attribution methods explain (default: the plugin's own, else neuron:17).",
        autocompletion=complete_kind("objective"),
    ),
]

EPILOG = examples(
    "equidiff check ./my_plugin.py",
    "equidiff check brightness,middle=0.5",
    "equidiff check hello",
    "equidiff check auto --kind solver",
)


def check(
    context: typer.Context,
    what: What,
    kind: Kind = None,
    generator: Generator = None,
    objective: Objective = None,
    device: Device = "auto",
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Check that components keep their contracts, with the checks of equidiff.testing.

    A run tries each component of a plugin with two rows. This looks deeper: gradients against finite differences, every
    row alone, inverses, seeds, modes and devices. Exit code: 0 all checks pass, 3 one fails, 1 error, 2 usage, 130
    interrupted.
    """
    state: State = context.obj
    state.terminal.quiet = quiet
    with state.terminal.status("loading"):
        from equidiff.cli.handlers.check import Given, perform, prepare

        work = prepare(state, plugin, Given(what, kind, generator, objective, device))
    return perform(work, state.terminal, as_json)
