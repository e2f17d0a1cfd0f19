"""The `equidiff evaluate` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.analysis.limits import EVALUATED
from equidiff.cli.options import (
    COMPUTATION,
    OUTPUT,
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

Features = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help="Feature space to compare samples in: pixels[:SIZE], fashion, timm:NAME[,checkpoint=...,layer=...] "
        "and likewise torchvision:, hf:, open_clip:NAME, "
        "module:FILE.py:FUNCTION (its code is run), or inception:WEIGHTS.pth, which adds FID "
        "(default: the generator's own network, or pixels where that is the network under test).",
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Folder of real images to compare with (default: prior samples of the generator)."
    ),
]
Lpips = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Weights of torchvision's AlexNet, which add LPIPS (default: LPIPS is not measured)."
    ),
]
Members = Annotated[
    int,
    typer.Option(
        metavar="COUNT", min=1, help="Evaluate COUNT members; of a run with more, they are drawn by its seed."
    ),
]
Batch = Annotated[
    int | None,
    typer.Option(metavar="COUNT", min=1, help="Samples per pass (default: the run's).", rich_help_panel=COMPUTATION),
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="NUMBER", min=0, help="Random seed of prior samples and intervals (default: the run's)."),
]

EPILOG = examples(
    "equidiff evaluate RUN",
    "equidiff evaluate RUN --all",
    "equidiff evaluate RUN --reference photos --features timm:resnet50",
)


def evaluate(
    context: typer.Context,
    run: Run,
    features: Features = None,
    reference: Reference = None,
    lpips: Lpips = None,
    members: Members = EVALUATED,
    batch: Batch = None,
    seed: Seed = None,
    device: Device = "auto",
    objective: RunObjective = None,
    plugin: PluginFiles = None,
    tables: Annotated[
        bool,
        typer.Option(
            "--all", metavar="", help="Print tables of all numbers below the verdicts.", rich_help_panel=OUTPUT
        ),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Measure the members of a run: do they hit the target, look real and differ from each other?

    Prints four verdicts, with --all also every number beside that of prior samples of the same generator. Writes
    metrics.json, which has all of them, into the run folder.
    Exit code: 0 done, 1 error, 2 usage, 130 interrupted.
    """
    state: State = context.obj
    state.terminal.quiet = quiet
    with state.terminal.status("loading"):
        from equidiff.analysis.evaluation import Plan
        from equidiff.cli.handlers.evaluate import perform

        finished = state.open_run(run, ("equidiff", "evaluate"), objective, device, plugin)
    return perform(finished, Plan(features, reference, members, batch, seed, lpips), state.terminal, as_json, tables)
