"""The `equidiff bank` command: its options, and the checks between them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from equidiff.cli.completion import complete_kind
from equidiff.cli.options import Device, Json, Plain, PluginFiles, Precision, Quiet, State, Traceback, examples
from equidiff.errors import UsageError
from equidiff.folders.paths import check_free

Generator = Annotated[
    str | None,
    typer.Option(
        "--generator",
        "-g",
        metavar="SPEC",
        help="Generator whose bank to make or to extend; without it, all banks are listed.",
        autocompletion=complete_kind("generator"),
    ),
]
Count = Annotated[
    int | None,
    typer.Option("--count", "-n", metavar="COUNT", min=1, help="Prior samples that it is to have (default: 256)."),
]
Objective = Annotated[
    list[str] | None,
    typer.Option(
        "--objective",
        "-o",
        metavar="SPEC",
        help="Also measure its samples, and their low-pass views, with this objective. Repeatable.",
        autocompletion=complete_kind("objective"),
    ),
]
Remove = Annotated[
    str | None, typer.Option(metavar="NAME|all", help="Remove the bank of this name, or all that nobody uses.")
]

Images = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Also write its samples as images into a new folder, for equidiff rank."),
]

EPILOG = examples(
    "equidiff bank -g toy:fashion -n 2048 -o neuron:17 -o neuron:40",
    "equidiff run -o neuron:17 --bank 2048 -n 64",
    "equidiff bank",
    "equidiff bank -n 2048 -g toy:fashion --images prior   # then: equidiff rank --images prior",
    "equidiff bank --remove all",
)


def bank(
    context: typer.Context,
    generator: Generator = None,
    count: Count = None,
    objective: Objective = None,
    images: Images = None,
    remove: Remove = None,
    device: Device = "auto",
    dtype: Precision = "auto",
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Make, extend, list or remove banks: prior samples of a generator, made once and used by its runs.

    Banks lie in the user's cache, or in the folder that EQUIDIFF_CACHE names. Together they take at most
    EQUIDIFF_CACHE_GB gigabytes (4); those unused for longest go first. Exit code: 0 done, 1 error, 2 usage, 130
    interrupted (what was made is kept).
    """
    state: State = context.obj
    state.terminal.quiet = quiet
    asked = {"--count": count, "--objective": objective, "--images": images}
    _check(generator, [name for name, value in asked.items() if value], remove)
    if images is not None:
        check_free(images)
    if generator is None:
        from equidiff.cli.handlers import bank as handler

        return handler.list_all(state.terminal, as_json) if remove is None else handler.discard(remove, state.terminal)
    with state.terminal.status("loading"):
        from equidiff.cli.handlers import bank as handler

        given = {"generator": generator, "device": device, "dtype": dtype, "bank": count or handler.COUNT}
        work = handler.prepare(state.plugins(plugin), given, objective or [])
    return handler.perform(work, images, state.terminal, as_json)


def _check(generator: str | None, asked: list[str], remove: str | None) -> None:
    """Refuse options that do not go together.

    Args:
        generator: as it was typed.
        asked: options that need it, and were typed.
        remove: as it was typed.
    """
    if generator is None and asked:
        raise UsageError(
            "A bank is of a generator.",
            given=asked[0],
            expected="--generator with it",
            hint="equidiff bank -g toy:fashion -n 2048",
        )
    if generator is not None and remove is not None:
        raise UsageError(
            "A bank is removed by its name.",
            given=f"--remove {remove} and --generator {generator}",
            expected="--remove NAME alone",
            hint="equidiff bank   # lists the names",
        )
