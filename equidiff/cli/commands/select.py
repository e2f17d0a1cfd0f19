"""The `equidiff select` command."""

from __future__ import annotations

from typing import Annotated

import typer

from equidiff.analysis.limits import SELECTED_FROM
from equidiff.cli.options import Device, Json, Plain, PluginFiles, Quiet, Run, RunObjective, State, Traceback, examples

Count = Annotated[int, typer.Option("--count", "-n", metavar="COUNT", help="Number of members to select.")]
By = Annotated[
    str,
    typer.Option(
        metavar="WAY",
        help="Criterion: diversity (unlike each other and the query), novelty (unlike the query and prior samples), "
        "or typicality (like prior samples).",
    ),
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help="Feature space to compare samples in, as for evaluate: pixels[:SIZE], fashion, timm:NAME, "
        "torchvision:, hf:, open_clip:NAME, "
        "module:FILE.py:FUNCTION (its code is run), or inception:WEIGHTS.pth "
        "(default: the generator's own network, or pixels where that is the network under test).",
    ),
]
Members = Annotated[
    int,
    typer.Option(
        metavar="COUNT", min=1, help="Select from COUNT members; of a run with more, they are drawn by its seed."
    ),
]

EPILOG = examples("equidiff select RUN", "equidiff select RUN --count 4 --by novelty")


def select(
    context: typer.Context,
    run: Run,
    count: Count = 8,
    by: By = "diversity",
    features: Features = None,
    members: Members = SELECTED_FROM,
    device: Device = "auto",
    objective: RunObjective = None,
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Select the members of a run that are most worth a look.

    Prints their indices, best first. Writes RUN/selections/WAY.json and WAY.png. Exit code: 0 done, 1 error, 2 usage,
    130 interrupted.
    """
    state: State = context.obj
    state.terminal.quiet = quiet
    with state.terminal.status("loading"):
        from equidiff.cli.handlers.select import perform

        finished = state.open_run(run, ("equidiff", "select"), objective, device, plugin)
    return perform(finished, count, by, features, members, state.terminal, as_json)
