"""`equidiff compare`: its options, and which way they lead."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.options import Again, Json, Plain, PluginFiles, State, Traceback
from equidiff.registry.specs import parse_list

USUAL = "saliency,input_x_gradient,integrated_gradients,guided_backprop,occlusion,gradcam"


def compare(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    methods: Annotated[
        str,
        typer.Option(
            metavar="SPECS",
            help="Attribution methods with commas between them, such as saliency,occlusion,window=7,gradcam; or all. "
            "equidiff show attribution lists them",
        ),
    ] = USUAL,
    members: Annotated[
        int | None,
        typer.Option(metavar="COUNT", min=1, help="Explain so many members, the first ones (default: 16)"),
    ] = None,
    objective: Again = None,
    batch: Annotated[int, typer.Option(metavar="COUNT", min=1, help="Samples in one pass")] = 16,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, mps, or auto")] = "auto",
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Nothing but errors.")] = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Ask attribution methods about a run: where they look in the query and the members, and how far to trust that.

    Prints the folder of maps, numbers and pictures, RUN/attributions; what it has of other methods stays. Exit code: 0
    done, 3 some methods did not fit or failed, 1 error, 2 usage, 130 interrupted (methods that were finished are kept).
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
