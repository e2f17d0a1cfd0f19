"""The `equidiff samples` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.cli.completion import complete_kind
from equidiff.cli.options import (
    COMPUTATION,
    Device,
    Plain,
    PluginFiles,
    Precision,
    Quiet,
    State,
    Traceback,
    examples,
)
from equidiff.errors import UsageError
from equidiff.folders.paths import check_free

Generator = Annotated[
    str,
    typer.Option(
        "--generator",
        "-g",
        metavar="SPEC",
        help="Generator to draw samples from.",
        autocompletion=complete_kind("generator"),
    ),
]
Count = Annotated[
    int | None,
    typer.Option("--count", "-n", metavar="COUNT", min=1, help="Number of samples (default: 16; with --queries, all)."),
]
Seed = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        min=0,
        help="Random seed; sample i depends only on the generator, the seed and i (default: 0).",
    ),
]
Queries = Annotated[
    bool, typer.Option("--queries", metavar="", help="Write the generator's own queries instead, named by their index.")
]
Out = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Folder to create (default: samples/TIME-GENERATOR).")]

EPILOG = examples("equidiff samples", "equidiff samples --queries", "equidiff samples --count 64 --seed 1")


def samples(
    context: typer.Context,
    generator: Generator = "toy",
    count: Count = None,
    seed: Seed = None,
    queries: Queries = False,
    out: Out = None,
    batch: Annotated[
        int, typer.Option(metavar="COUNT", min=1, help="Samples per pass.", rich_help_panel=COMPUTATION)
    ] = 16,
    device: Device = "auto",
    dtype: Precision = "auto",
    plugin: PluginFiles = None,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Draw prior samples of a generator, or write out its own queries.

    Prints the folder's path: images, sounds or a table, a drawing of them (grid.png), and tensors.safetensors. Points
    have tensors only.
    Exit code: 0 done, 1 error, 2 usage, 130 interrupted (nothing is written).
    """
    state: State = context.obj
    state.terminal.quiet = quiet
    if queries and seed is not None:
        raise UsageError(
            "A generator's own queries are not random.", given=f"--seed {seed}", expected="--queries without --seed"
        )
    if out is not None:
        check_free(out)
    with state.terminal.status("loading"):
        from equidiff.cli.handlers.samples import perform, prepare

        given = {"samples": 16 if count is None else count, "seed": seed or 0, "batch": batch, "dtype": dtype}
        work = prepare(state.plugins(plugin), {"generator": generator, "device": device, **given}, out, queries)
    return perform(work, None if queries and count is None else given["samples"], state.terminal)
