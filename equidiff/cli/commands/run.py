"""The `equidiff run` command: its options, and a new or a resumed run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from equidiff.cli.exit_codes import INTERRUPTED, NOT_ALL_MEMBERS
from equidiff.cli.options import Json, Plain, PluginFiles, State, Traceback
from equidiff.errors import UsageError
from equidiff.folders.paths import check_free
from equidiff.folders.status import COMPLETE
from equidiff.run.settings import Settings

SETTINGS = [field.name for field in fields(Settings)]


def _option(*names: str, default: object, help: str, metavar: str | None = None) -> Any:
    """Declare an option that is None unless it was typed; its help states the default of `Settings`."""
    return typer.Option(*names, help=f"{help} (default: {default}).", metavar=metavar)


Generator = Annotated[
    str | None, _option("--generator", "-g", default="toy", metavar="SPEC", help="Generator that makes the samples")
]
Objective = Annotated[
    str | None, _option("--objective", "-o", default="neuron:17", metavar="SPEC", help="Measurement to hold fixed")
]
Regularizer = Annotated[
    str | None,
    _option(
        "--regularizer",
        "-r",
        default="lowpass; none for points",
        metavar="SPEC",
        help="Filtered views on which it must hold too",
    ),
]
Solver = Annotated[str | None, _option("--solver", "-s", default="auto", metavar="SPEC", help="Search method")]
Law = Annotated[
    str | None,
    _option("--law", default="solve", metavar="SPEC", help="Distribution of the members: solve, or conditional"),
]
Query = Annotated[
    str | None,
    _option(
        "--query",
        default="the generator's own query 3, or its first",
        metavar="IMAGE|INDEX|top:FOLDER",
        help="Sample that sets the value: an image file, the index of one of the generator's own queries, or the image "
        "with the highest value in a folder",
    ),
]
Target = Annotated[
    str | None, typer.Option(metavar="NUMBERS", help="The value itself, in place of a query; commas separate several.")
]
Samples = Annotated[
    int | None, _option("--samples", "-n", default=16, metavar="COUNT", help="Number of samples to search for")
]
Budget = Annotated[
    float | None,
    _option("--budget", metavar="NUMBER", default="the solver's", help="Maximum number of evaluations per sample"),
]
Tolerance = Annotated[
    str | None,
    _option(
        "--tolerance",
        metavar="NUMBER|PERCENT",
        default="the solver's, 8% for most",
        help="How near to the target a member lies: a part of how much the measurement varies over prior samples, such "
        "as 5%, or a loss, such as 0.01",
    ),
]
Batch = Annotated[int | None, _option("--batch", metavar="COUNT", default=16, help="Samples per pass")]
Seed = Annotated[
    int | None,
    _option("--seed", metavar="NUMBER", default=0, help="Random seed; sample i depends only on the seed and on i"),
]
Device = Annotated[
    str | None, _option("--device", metavar="NAME", default="auto", help="Device: cpu, cuda, cuda:1, mps, or auto")
]
Dtype = Annotated[
    str | None,
    _option("--dtype", metavar="NAME", default="float32", help="Precision: float32, or bfloat16 for autocast"),
]
Start = Annotated[
    str | None,
    _option(
        "--start",
        metavar="prior|query",
        default="prior",
        help="Start latents: drawn from the prior, or spread around the query, near and far",
    ),
]
Saved = Annotated[
    str | None,
    _option(
        "--saved",
        metavar="uint8|float",
        default="uint8",
        help="Judge an image as its file holds it, rounded to 8 bits, or before it is rounded",
    ),
]
Out = Annotated[
    Path | None,
    _option("--out", default="runs/TIME-GENERATOR-OBJECTIVE", metavar="FOLDER", help="Run folder to create"),
]
Resume = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Continue a run that did not finish, with its own settings.")
]


def run(
    context: typer.Context,
    generator: Generator = None,
    objective: Objective = None,
    regularizer: Regularizer = None,
    solver: Solver = None,
    law: Law = None,
    query: Query = None,
    target: Target = None,
    samples: Samples = None,
    budget: Budget = None,
    tolerance: Tolerance = None,
    batch: Batch = None,
    seed: Seed = None,
    device: Device = None,
    dtype: Dtype = None,
    start: Start = None,
    saved: Saved = None,
    out: Out = None,
    resume: Resume = None,
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Print nothing but errors.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", metavar="", help="Print a line about each sample.")
    ] = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Sample an invariant set: other inputs to which a network responds as it does to the query.

    Prints the run folder's path. Exit code: 0 all are members, 3 some are not, 1 error, 2 usage, 130 interrupted.
    """
    given = {name: context.params[name] for name in SETTINGS if context.params[name] is not None}
    state: State = context.obj
    state.files += plugin or []
    state.terminal.quiet = quiet
    with _termination_interrupts():
        try:
            if resume is None:
                return _begin(state, given, out, as_json, verbose)
            return _go_on(state, given, out, resume, as_json, verbose)
        except KeyboardInterrupt:
            state.terminal.note("Interrupted before the first sample.")
            return INTERRUPTED


def _begin(state: State, given: dict[str, Any], out: Path | None, as_json: bool, verbose: bool) -> int:
    if out is not None:
        check_free(out)
    with state.terminal.status("loading"):
        from equidiff.cli.handlers import run as handler

        work = handler.begin(state.plugins(), given, out)
    return handler.perform(work, state, as_json, verbose)


def _go_on(state: State, given: dict[str, Any], out: Path | None, path: Path, as_json: bool, verbose: bool) -> int:
    from equidiff.run.info import read_info  # needs pydantic, which `--help` does not
    from equidiff.run.own_code import RESUME, check_named

    info = read_info(path)
    objective = given.pop("objective", None)
    if given or out is not None:
        raise UsageError(
            "A resumed run keeps its own settings.",
            given=" ".join(f"--{name}" for name in (*given, *(["out"] if out else []))),
            expected="--resume RUN without them",
            hint=f"equidiff run --resume {path}",
        )
    check_named(info, objective, state.files, (*RESUME, str(path)))
    if info.status == COMPLETE:
        members, asked = info.counts.members, info.counts.asked
        state.terminal.note(f"This run is already complete: {members} of {asked} samples are members.")
        state.terminal.result((path / "run.json").read_text(encoding="utf-8") if as_json else str(path))
        return 0 if members == asked else NOT_ALL_MEMBERS
    with state.terminal.status("loading"):
        from equidiff.cli.handlers import run as handler

        work = handler.resume(state, info, path, objective)
    return handler.perform(work, state, as_json, verbose)


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Let SIGTERM, which a job queue sends before it kills, save what there is, as Ctrl-C does."""

    def interrupt(_signal: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
