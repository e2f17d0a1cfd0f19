"""The `equidiff run` command: its options, and a new or a resumed run."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from equidiff.cli.commands.run_options import (
    Bank,
    Batch,
    Budget,
    Device,
    Dtype,
    Effort,
    Executor,
    Generator,
    Images,
    Law,
    Objective,
    Out,
    PartOfRun,
    Query,
    Regularizer,
    Report,
    Resume,
    Samples,
    Saved,
    Seed,
    Solver,
    Start,
    Target,
    TimeLimit,
    Tolerance,
    Verbose,
)
from equidiff.cli.exit_codes import INTERRUPTED, NOT_ALL_MEMBERS
from equidiff.cli.interrupts import prompt_termination
from equidiff.cli.options import Json, Plain, PluginFiles, Quiet, Show, State, Traceback, examples
from equidiff.errors import UsageError
from equidiff.folders.paths import OF_A_BEGINNING, check_free
from equidiff.folders.status import COMPLETE
from equidiff.folders.text import shell_word
from equidiff.run.image_files import ImageFiles
from equidiff.run.settings import Settings
from equidiff.search.blocks import Share

if TYPE_CHECKING:
    from equidiff.registry.manager import Plugins
    from equidiff.run.info import RunInfo

SETTINGS = [field.name for field in fields(Settings)]
EPILOG = examples(
    "equidiff run",
    "equidiff run --query 8 --samples 64 --report",
    "equidiff run --objective classifier:bag --tolerance 5%",
    "equidiff run --generator toy:circles --objective classifier:inner",
    "equidiff run --generator sd --objective classifier:zebra --query zebra.jpg",
)


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
    effort: Effort = None,
    tolerance: Tolerance = None,
    batch: Batch = None,
    seed: Seed = None,
    device: Device = None,
    dtype: Dtype = None,
    start: Start = None,
    saved: Saved = None,
    time_limit: TimeLimit = None,
    bank: Bank = None,
    out: Out = None,
    images: Images = None,
    part: PartOfRun = None,
    executor: Executor = None,
    resume: Resume = None,
    report: Report = False,
    plugin: PluginFiles = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    plain: Plain = False,
    traceback: Traceback = False,
) -> int:
    """Sample an invariant set: other inputs to which a network responds as it does to the query.

    Prints the run folder's path. Exit code: 0 all are members, 3 some are not, 1 error, 2 usage, 130 interrupted.
    """
    given = {name: context.params[name] for name in SETTINGS if context.params[name] is not None}
    show = Show(as_json, verbose, report)
    state: State = context.obj
    state.files += plugin or []
    state.terminal.quiet = quiet
    with prompt_termination():
        try:
            if resume is None:
                return _begin(state, given, out, part, images, executor, show)
            return _go_on(state, given, {"out": out, "part": part, "images": images}, resume, executor, show)
        except KeyboardInterrupt:
            state.terminal.note(f"Interrupted before {'the first' if resume is None else 'another'} sample.")
            return INTERRUPTED


def _begin(
    state: State,
    given: dict[str, Any],
    out: Path | None,
    part: str | None,
    images: str | None,
    executor: str | None,
    show: Show,
) -> int:
    share = None if part is None else Share.parse(part)
    files = None if images is None else ImageFiles.parse(images)
    if out is not None:
        check_free(out, OF_A_BEGINNING)
    plugins = state.plugins()
    if _is_inline(plugins, executor):
        from equidiff.registry.published import check_published  # needs pydantic, which `--help` does not

        check_published(plugins, {kind: given[kind] for kind in ("generator", "objective") if kind in given})
    with ExitStack() as stack:
        with state.terminal.status("loading") as tell:
            from equidiff.cli.handlers import run as handler

            place = handler.Place(out, share, files)
            device = given.get("device", Settings.device)
            workers = stack.enter_context(handler.open_workers(executor, state, device, show.verbose))
            work = handler.begin(given, place, state, workers, tell)
        return handler.perform(work, state, show)


def _is_inline(plugins: Plugins, executor: str | None) -> bool:
    """True where this process does the work itself.

    Raises:
        EquiDiffError: there is no such executor, or an option of it does not exist.
    """
    if executor is None:
        return True
    from equidiff.registry.check import check_text  # needs pydantic, which `--help` does not

    (spec,) = check_text(plugins, "executor", executor)
    return spec.name == "inline"


def _is_whole(path: Path, info: RunInfo) -> bool:
    """Tell whether a complete run has all its samples, by their checksums; schema versions 1 and 2 had none."""
    if info.schema_version < 3:
        return True
    from equidiff.run.folder import Survey

    return Survey.make(path, info).is_whole


def _go_on(
    state: State,
    given: dict[str, Any],
    of_new: dict[str, object],
    path: Path,
    executor: str | None,
    show: Show,
) -> int:
    from equidiff.folders.lock import check_unlocked
    from equidiff.run.info import read_info  # needs pydantic, which `--help` does not
    from equidiff.run.own_code import RESUME, check_named

    info = read_info(path)
    objective = given.pop("objective", None)
    refused = [*given, *(name for name, value in of_new.items() if value is not None)]
    if refused:
        raise UsageError(
            "A resumed run keeps its own settings.",
            given=" ".join(f"--{name.replace('_', '-')}" for name in refused),
            expected="--resume RUN without them",
            hint=f"equidiff run --resume {shell_word(path)}",
        )
    check_unlocked(path)
    check_named(info, objective, state.files, (*RESUME, str(path)))
    if info.status == COMPLETE and _is_whole(path, info):
        members, asked = info.counts.members, info.counts.asked
        state.terminal.note(f"This run is already complete: {members} of {asked} samples are members.")
        state.terminal.answer(path, "run.json" if show.as_json else None)
        return 0 if members == asked else NOT_ALL_MEMBERS
    if not _is_inline(state.plugins(), executor):
        from equidiff.run.own_code import check_portable

        check_portable(info.specs)
    with ExitStack() as stack:
        with state.terminal.status("loading"):
            from equidiff.cli.handlers import run as handler

            workers = stack.enter_context(handler.open_workers(executor, state, info.device, show.verbose))
            work = handler.resume(state, info, path, objective, workers)
        return handler.perform(work, state, show)
