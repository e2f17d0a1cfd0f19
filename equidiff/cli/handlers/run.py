"""Run `equidiff run`: introduction, progress, conclusion and contact sheet."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equidiff.analysis.figures.captions import format_values
from equidiff.analysis.figures.grid import draw_contact_sheet
from equidiff.cli.console import Terminal
from equidiff.cli.exit_codes import INTERRUPTED, NOT_ALL_MEMBERS
from equidiff.cli.handlers.progress import Watch
from equidiff.cli.options import State
from equidiff.devices import is_out_of_memory
from equidiff.errors import EquiDiffError, RunFolderError, first_line
from equidiff.folders.paths import free_path
from equidiff.registry.manager import Plugins
from equidiff.run.execute import execute
from equidiff.run.folder import RunFolder, read_query
from equidiff.run.info import RunInfo
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.own_code import RESUME, name_again
from equidiff.run.record import Record
from equidiff.run.reopen import reopen
from equidiff.run.session import Session, prepare
from equidiff.run.settings import Settings
from equidiff.search.engine import MEMBER


@dataclass(frozen=True)
class Work:
    """A run to carry out: its session, its folder, and the samples still to find."""

    session: Session
    folder: RunFolder
    todo: Sequence[int]
    default_query: bool = False  # the user chose neither query nor target


def begin(plugins: Plugins, given: dict[str, Any], out: Path | None) -> Work:
    """Prepare a new run and make its folder.

    Args:
        plugins: used to look up specs.
        given: the settings that the user typed.
        out: the run folder; by default named after time and specs.
    """
    settings = Settings(**given)
    try:
        session = prepare(settings, plugins, default_to_query=True)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise _too_large(error, settings.device, settings.dtype, str(settings.generator)) from error
    info = session.describe()
    path = out or free_path(info.specs.generator, info.specs.objective)
    query = None if session.query is None else session.query.sample
    latent = None if session.start is None else session.start.latent
    folder = RunFolder.create(path, info, query, latent, session.prior_tensors)
    return Work(session, folder, range(info.counts.asked), not given.keys() & {"query", "target"})


def resume(state: State, info: RunInfo, path: Path, objective: str | None) -> Work:
    """Prepare the rest of an unfinished run.

    Args:
        state: plugins and plugin files.
        info: the content of `run.json`.
        path: the run folder.
        objective: the run's objective again, if it is the user's own code.
    """
    latent = read_query(path).get("query_latent")
    command = (*RESUME, str(path))
    session = reopen(info, latent, state.plugins(), command=command, objective=objective, files=state.files)
    folder = RunFolder.reopen(path)
    return Work(session, folder, [index for index in range(info.counts.asked) if index not in folder.records])


def perform(work: Work, state: State, as_json: bool, verbose: bool) -> int:
    """Carry out the run, print about it, and return the exit code."""
    terminal, folder = state.terminal, work.folder
    asked = folder.info.counts.asked
    terminal.facts(_introduction(work))
    inversion = work.session.inversion
    if inversion is not None and inversion.warning is not None:
        terminal.note(inversion.warning, "yellow")
    interrupted = False
    with terminal.progress(asked, len(folder.records)) as show:
        watch = Watch(show, folder.records.values(), _warn(terminal), terminal.note if verbose else None)
        try:
            execute(work.session, folder, work.todo, watch)
        except KeyboardInterrupt:
            interrupted = True
        except (OSError, MemoryError, RuntimeError) as error:
            if not isinstance(error, OSError) and not is_out_of_memory(error):
                raise
            raise _resource_error(error, work, state) from error
    members = [record for record in folder.records.values() if record.status == MEMBER]
    image = _draw(work) if members else None
    terminal.facts(_conclusion(folder, members, image))
    if interrupted:
        done = f"{len(folder.records)} of {asked} samples are finished and saved"
        terminal.note(f"Interrupted: {done}. Continue with: {_resume_command(work, state)}")
        return INTERRUPTED
    if not members:
        _report_no_member(folder, terminal)
    terminal.result((folder.path / "run.json").read_text(encoding="utf-8") if as_json else str(folder.path))
    return 0 if len(members) == asked else NOT_ALL_MEMBERS


def _introduction(work: Work) -> list[tuple[str, object]]:
    info = work.folder.info
    rows: list[tuple[str, object]] = [*info.specs]
    if not info.target.is_given:
        rows.append(("query", info.target.source + (" (choose another with --query)" if work.default_query else "")))
    if info.inversion is not None:
        error = f"{info.inversion.round_trip:.2g}"
        rows.append(
            ("start", f"the query's latent, which gives the query back with an error of {error} standard deviations")
        )
    rows.append(("target", str(info.target)))
    rest = "" if len(work.todo) == info.counts.asked else f", {len(work.todo)} of them still to find"
    rows.append(("samples", f"{info.counts.asked}{rest}; seed {info.seed}, on {info.device}"))
    return rows


def _conclusion(folder: RunFolder, members: list[Record], image: Path | None) -> list[tuple[str, object]]:
    counts = folder.info.counts
    others = [("not converged", counts.not_converged), ("failed", counts.failed)]
    found = ", ".join([f"{counts.members} of {counts.asked}", *(f"{count} {name}" for name, count in others if count)])
    rows: list[tuple[str, object]] = [("members", found)]
    if members:
        rows.append(("cost", f"{statistics.median(each.evaluations for each in members):.1f} evaluations, median"))
    chains = [record for record in members if record.moves]
    if chains:
        proposed, accepted = (sum(getattr(each, name) or 0 for each in chains) for name in ("moves", "accepted"))
        rows.append(("law", f"{proposed // len(chains)} proposals per member, {accepted / proposed:.0%} accepted"))
    rows.append(("time", f"{folder.info.wall_s:.1f} s"))
    if image:
        rows.append(("image", image))
    return rows


def _draw(work: Work) -> Path | None:
    found = InvariantSet.load(work.folder.path)
    problem = work.session.problem
    image = draw_contact_sheet(found, lambda samples: problem.objective.measure(samples.to(problem.target.device)))
    return None if image is None else work.folder.add_image("grid.png", image)


def _report_no_member(folder: RunFolder, terminal: Terminal) -> None:
    info = folder.info
    target = info.target.values
    reached = [(record.measurement, record.index) for record in folder.records.values() if record.measurement]
    rows: list[tuple[str, object]] = [("target", str(info.target))]
    if reached:
        nearest, index = min(reached, key=lambda pair: math.dist(pair[0], target))
        rows.append(("nearest", f"{format_values(nearest, target)} (sample {index})"))
    else:
        rows.append(("reason", next(iter(folder.records.values())).error))
    rows.append(("try", f"--budget {4 * info.budget:g}, a target within reach, or a larger --tolerance"))
    terminal.panel("no member", f"None of the {info.counts.asked} samples reached the target.", rows, "yellow")


def _resume_command(work: Work, state: State) -> str:
    return name_again((*RESUME, str(work.folder.path)), work.folder.info.specs.objective, state.files)


def _resource_error(error: Exception, work: Work, state: State) -> EquiDiffError:
    command = _resume_command(work, state)
    if isinstance(error, OSError):
        return RunFolderError(
            f"The run had to stop: {error.strerror or error}",
            given=error.filename or work.folder.path,
            expected="a disk with free space and write permission",
            hint=f"{command}   # keeps the finished samples",
        )
    session = work.session
    return _too_large(error, session.device, session.settings.dtype, work.folder.info.specs.generator)


def _too_large(error: Exception, device: str, dtype: str, generator: str) -> EquiDiffError:
    return EquiDiffError(
        f"Not even one sample fits into the memory of the device: {first_line(error)}",
        given=f"on {device}, {dtype}",
        expected="less memory: a smaller model, its checkpoint option, or --dtype bfloat16",
        hint=f"equidiff doctor -g {generator} --samples 1",
    )


def _warn(terminal: Terminal) -> Callable[[str], None]:
    return lambda text: terminal.note(text, "yellow")
