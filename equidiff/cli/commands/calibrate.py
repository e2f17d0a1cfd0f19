"""The `equidiff calibrate` command: its options, and the checks between them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from equidiff.cli.commands.run_options import Bank as RunBank
from equidiff.cli.commands.run_options import (
    Batch,
    Budget,
    Device,
    Dtype,
    Generator,
    Law,
    Objective,
    Regularizer,
    Saved,
    Seed,
    Solver,
    Start,
    TimeLimit,
    Tolerance,
)
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.interrupts import prompt_termination
from equidiff.cli.options import OUTPUT, Json, Plain, PluginFiles, Quiet, State, Traceback, examples
from equidiff.errors import UsageError
from equidiff.folders.paths import check_free
from equidiff.folders.text import shell_word

QUERIES, MEMBERS = 64, 7
NAMED_AGAIN = {"objective", "features"}  # may be code of the user's own, which runs only where it is named
OTHER = {"out", "resume", "plugin", "as_json", "quiet", "plain", "traceback"}

Queries = Annotated[
    int | None,
    typer.Option("--queries", "-n", metavar="COUNT", min=1, help=f"Number of queries (default: {QUERIES})."),
]
Members = Annotated[
    int | None,
    typer.Option(metavar="COUNT", min=1, max=999, help=f"Members to search for, of each query (default: {MEMBERS})."),
]
Images = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="Take the queries from the images of a folder (default: prior samples)."),
]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help="Feature space in which samples are compared, as for equidiff evaluate (default: the generator's own "
        "network, or pixels where that is the network under test).",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder to create (default: calibrations/TIME-GENERATOR-OBJECTIVE).",
        rich_help_panel=OUTPUT,
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Continue a calibration that did not finish, with its own settings.",
        rich_help_panel=OUTPUT,
    ),
]

EPILOG = examples(
    "equidiff calibrate -g toy:circles -o classifier:inner",
    "equidiff calibrate -g toy:circles -o classifier:inner --law conditional",
    "equidiff calibrate -o neuron:17 -n 32 --tolerance 4%",
    "equidiff calibrate --resume CALIBRATION",
)


def calibrate(
    context: typer.Context,
    generator: Generator = None,
    objective: Objective = None,
    regularizer: Regularizer = None,
    solver: Solver = None,
    law: Law = None,
    queries: Queries = None,
    members: Members = None,
    images: Images = None,
    features: Features = None,
    budget: Budget = None,
    tolerance: Tolerance = None,
    batch: Batch = None,
    seed: Seed = None,
    device: Device = None,
    dtype: Dtype = None,
    start: Start = None,
    saved: Saved = None,
    time_limit: TimeLimit = None,
    bank: RunBank = None,
    out: Out = None,
    resume: Resume = None,
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Test whether members follow the law of the data: the rank of a query among its own members must be even.

    Searches a few members for each of many queries, ranks each query among its members by several statistics, and says
    whether the ranks are as even as chance makes them. Prints the folder's path. Exit code: 0 the law is not rejected,
    3 it is, or there is no verdict, 1 error, 2 usage, 130 interrupted (continue with --resume).
    """
    given = {name: value for name, value in context.params.items() if name not in OTHER and value is not None}
    state: State = context.obj
    state.files += plugin or []
    state.terminal.quiet = quiet
    _check(given, out, resume)
    with prompt_termination():
        try:
            with state.terminal.status("loading") as tell:
                from equidiff.cli.handlers import calibrate as handler

                work = (
                    handler.begin(given, out, state, tell)
                    if resume is None
                    else handler.resume(given, resume, state, tell)
                )
            return handler.perform(work, state.terminal, as_json)
        except KeyboardInterrupt:
            state.terminal.note("Interrupted before the first query.")
            return INTERRUPTED


def _check(given: dict[str, Any], out: Path | None, resume: Path | None) -> None:
    if out is not None and resume is None:
        check_free(out)
    refused = [*(given.keys() - NAMED_AGAIN), *(["out"] if out else [])]
    if resume is not None and refused:
        raise UsageError(
            "A resumed calibration keeps its own settings.",
            given=" ".join(f"--{name.replace('_', '-')}" for name in sorted(refused)),
            expected="--resume FOLDER without them",
            hint=f"equidiff calibrate --resume {shell_word(resume)}",
        )
