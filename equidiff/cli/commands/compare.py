"""The `equidiff compare` command."""

from __future__ import annotations

from typing import Annotated

import typer

from equidiff.analysis.compare.defaults import METHODS
from equidiff.cli.completion import complete_methods
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.options import (
    COMPUTATION,
    Device,
    Json,
    Plain,
    PluginFiles,
    Quiet,
    Run,
    RunObjective,
    State,
    Traceback,
    examples,
)
from equidiff.registry.specs import parse_list

EPILOG = examples(
    "equidiff compare RUN",
    "equidiff compare RUN --methods saliency,occlusion,window=7",
    "equidiff compare RUN --methods all --members 4",
)


def compare(
    context: typer.Context,
    run: Run,
    methods: Annotated[
        str,
        typer.Option(
            metavar="SPECS",
            help="Attribution methods, separated by commas, e.g. saliency,occlusion,window=7,gradcam; or all. "
            "`equidiff show attribution` lists them.",
            show_default=METHODS.replace(",", ", "),  # so that a help can wrap it
            autocompletion=complete_methods,
        ),
    ] = METHODS,
    members: Annotated[
        int | None,
        typer.Option(metavar="COUNT", min=1, help="Explain the first COUNT members (default: 16)."),
    ] = None,
    objective: RunObjective = None,
    batch: Annotated[
        int, typer.Option(metavar="COUNT", min=1, help="Samples per pass.", rich_help_panel=COMPUTATION)
    ] = 16,
    device: Device = "auto",
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Compare attribution methods on a run: where each looks in the query and the members, and how far to trust it.

    Prints RUN/attributions, the folder of maps, numbers and images, which keeps the results of earlier methods. Exit
    code: 0 done, 3 some methods did not fit or failed, 1 error, 2 usage, 130 interrupted (finished methods are
    kept).
    """
    state: State = context.obj
    state.files += plugin or []
    state.terminal.quiet = quiet
    specs = None if methods.strip() == "all" else parse_list(methods)
    try:
        with state.terminal.status("loading"):
            from equidiff.cli.handlers.compare import perform, prepare

            work = prepare(state, run, specs, members, objective, batch, device)
        return perform(work, state, as_json)
    except KeyboardInterrupt:
        state.terminal.note("Interrupted before the first method.")
        return INTERRUPTED
