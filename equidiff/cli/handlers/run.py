"""Run `equidiff run`: question, progress, conclusion and contact sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from equidiff.analysis.figures.grid import MOST_POINTS, draw_contact_sheet
from equidiff.cli.console import SearchDisplay
from equidiff.cli.exit_codes import INTERRUPTED, NOT_ALL_MEMBERS
from equidiff.cli.handlers.conclusion import conclusion, nearest_miss, settings_of
from equidiff.cli.handlers.progress import Watch
from equidiff.cli.handlers.report import write_page
from equidiff.cli.handlers.workers import Workers, measure_samples, open_here, open_workers
from equidiff.cli.options import Show, State
from equidiff.devices import is_out_of_memory
from equidiff.errors import EquiDiffError, RunFolderError, first_line
from equidiff.folders.atomic import write_image
from equidiff.folders.paths import free_path
from equidiff.folders.status import COMPLETE
from equidiff.folders.text import shell_command
from equidiff.images.read import read_drawn
from equidiff.parallel.execute import execute_with, take_over
from equidiff.parallel.prepare import Prepared
from equidiff.run.cautions import cautions
from equidiff.run.execute import execute
from equidiff.run.finished import load_first_members
from equidiff.run.folder import RunFolder, read_query
from equidiff.run.image_files import ImageFiles
from equidiff.run.info import RunInfo
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.own_code import RESUME, name_again
from equidiff.run.remaining import Remaining
from equidiff.run.reopen import reopen
from equidiff.run.session import Session, prepare
from equidiff.run.settings import Settings
from equidiff.run.summary import Summary
from equidiff.run.wording import question
from equidiff.search.attempt import attempt, reason
from equidiff.search.blocks import Share

__all__ = ["Place", "begin", "open_workers", "perform", "resume"]


@dataclass(frozen=True)
class Work:
    """A run to carry out: its folder, the samples still to find, and a session or workers to find them."""

    folder: RunFolder
    todo: Sequence[int]
    session: Session | None = None
    workers: Workers | None = None
    latent: Tensor | None = None  # of the query, where the run starts from it
    default_query: bool = False  # the user chose neither query nor target


@dataclass(frozen=True)
class Place:
    """A run folder to make.

    Attributes:
        out: its path; by default it is named after time and specs.
        part: of the run, where it is done in several.
        images: those that are files.
    """

    out: Path | None = None
    part: Share | None = None
    images: ImageFiles | None = None


def begin(
    given: dict[str, Any], place: Place, state: State, workers: Workers | None, tell: Callable[[str], None]
) -> Work:
    """Prepare a new run and make its folder.

    Args:
        given: the settings that the user typed.
        place: the run folder.
        state: plugins and plugin files.
        workers: to prepare the run, and to find its samples; this process when absent.
        tell: called with what is being done.
    """
    settings = Settings(**given)
    if place.part is not None:
        place.part.indices(settings.samples)  # before anything is loaded: it may be too small to be divided so
    session = None
    try:
        if workers is None:
            session = prepare(settings, state.plugins(), default_to_query=True, tell=tell)
            ready = Prepared.of(session)
        else:
            ready = workers.prepare(settings)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise _too_large(error, settings.device, settings.dtype, str(settings.generator)) from error
    info = ready.info
    if place.part is not None:
        info = info.divided(place.part)
    if place.images is not None:
        info = info.model_copy(update={"images": str(place.images)})
    path = place.out or free_path(info.specs.generator, info.specs.objective)
    folder = RunFolder.create(path, info, ready.query, ready.query_latent, ready.prior)
    default_query = not given.keys() & {"query", "target"}
    return Work(folder, info.indices, session, workers, ready.query_latent, default_query)


def resume(state: State, info: RunInfo, path: Path, objective: str | None, workers: Workers | None) -> Work:
    """Prepare the rest of an unfinished run.

    Args:
        state: plugins and plugin files.
        info: the content of `run.json`.
        path: the run folder.
        objective: the run's objective again, if it is the user's own code.
        workers: to find the samples; this process when absent.
    """
    latent = read_query(path).get("query_latent") if info.starts_from_query else None
    command = (*RESUME, str(path))
    session = None
    if workers is None:
        session = reopen(
            info, latent, state.plugins(), command=command, objective=objective, files=state.files, path=path
        )
    folder = RunFolder.reopen(path)
    take_over(folder)
    if folder.damage is not None:
        state.terminal.note(folder.damage, "yellow")
    return Work(folder, [index for index in info.indices if index not in folder.finished], session, workers, latent)


def perform(work: Work, state: State, show: Show) -> int:
    """Carry out the run, print about it, and return the exit code."""
    try:
        return _perform(work, state, show)
    except KeyboardInterrupt:  # behind the search, which says more itself
        with suppress(KeyboardInterrupt):  # once more
            state.terminal.note("Interrupted: the samples are saved, but not all images of them are drawn.")
        return INTERRUPTED


def _perform(work: Work, state: State, show: Show) -> int:
    terminal, folder = state.terminal, work.folder
    asked = folder.info.counts.asked
    terminal.note(question(folder.info), "bold")
    workers = [] if work.workers is None else [work.workers.fact]
    terminal.facts([*settings_of(folder.info, len(work.todo), work.default_query), *workers], dim=True)
    inversion = folder.info.inversion
    if inversion is not None and inversion.warning is not None:
        terminal.note(inversion.warning, "yellow")
    warnings = work.session.warnings if work.session is not None else ()
    for warning in (*folder.info.notes, *warnings):
        terminal.note(warning, "yellow")
    interrupted = _search(work, state, show.verbose)
    summary = Summary.of(folder.info, folder.records)
    found, members = load_first_members(folder.path, folder.info, MOST_POINTS), summary.members
    image = _draw(work, state, found, summary) if members else None
    page = _write_page(work, state) if show.report and members and not interrupted else None
    terminal.facts(conclusion(folder.info, summary, image, page))
    for caution in cautions(folder.info, summary, _latent_size(found), found.kind):
        if caution not in folder.info.notes:  # those were shown before the search
            terminal.note(caution, "yellow")
    if interrupted:
        terminal.note(f"Interrupted: {len(folder.finished)} of {asked} samples are finished and saved.")
        terminal.command("continue with", _resume_command(work, state))
        return INTERRUPTED
    best_effort = folder.info.options.effort is not None
    if members:
        terminal.command(*_next_command(work, state, page))
    elif not best_effort or not summary.missed:
        problem = f"None of the {asked} samples reached the target."
        terminal.panel("no member", problem, nearest_miss(folder.info, summary), "yellow")
    terminal.answer(folder.path, "run.json" if show.as_json else None)
    as_asked = members + len(summary.missed) if best_effort else members
    return 0 if as_asked == asked else NOT_ALL_MEMBERS


def _search(work: Work, state: State, verbose: bool) -> bool:
    """Find the samples; True if the user interrupted it."""
    terminal, folder, info = state.terminal, work.folder, work.folder.info
    transitions = info.options.law.get("moves")
    left = Remaining(len(work.todo), info.tolerance, info.budget, transitions if isinstance(transitions, int) else 0)
    with terminal.search(info.counts.asked) as display:
        _show_query(display, folder)
        warn = partial(terminal.note, style="yellow")
        tell = terminal.note if verbose else None
        watch = Watch(display, left, folder.records, folder.image, warn, tell)
        try:
            _find(work, state, watch)
        except KeyboardInterrupt:
            if folder.info.status == COMPLETE:  # it came while the run was closed
                raise
            return True
        except (OSError, MemoryError, RuntimeError) as error:
            if not isinstance(error, OSError) and not is_out_of_memory(error):
                raise
            raise _resource_error(error, work, state) from error
    return False


def _find(work: Work, state: State, watch: Watch) -> None:
    if work.workers is not None:
        execute_with(work.workers.executor, work.folder, work.todo, watch, query_latent=work.latent, files=state.files)
    elif work.session is not None:
        execute(work.session, work.folder, work.todo, watch)


def _latent_size(found: InvariantSet) -> int:
    """Numbers in a latent; 1 where there are no members."""
    return math.prod(found.rows.take("latents", [0]).shape[1:]) if len(found) else 1


def _write_page(work: Work, state: State) -> Path | None:
    """The page about the run; None if the user interrupted its writing."""
    try:
        return write_page(work.folder.path, state)
    except KeyboardInterrupt:
        state.terminal.note("Interrupted: the run is saved, without its page.")
        return None


def _show_query(display: SearchDisplay, folder: RunFolder) -> None:
    image = read_drawn(folder.path / "query.png") if display.pictures else None
    if image is not None:
        called = folder.info.called
        name = f": {called.query.name}" if called is not None and called.query is not None else ""
        display.put_query(image, f"query{name}")


def _next_command(work: Work, state: State, page: Path | None) -> tuple[str, str]:
    """The command to type next, after the word for what it does."""
    path = str(work.folder.path)
    if page is None:
        return "look", shell_command(["equidiff", "report", path, "--open"])
    return "next", name_again(("equidiff", "evaluate", path), work.folder.info.specs.objective, state.files)


def _draw(work: Work, state: State, found: InvariantSet, summary: Summary) -> Path | None:
    """The picture of the members; None where there is none, or where the objective cannot be measured around them."""
    session = work.session
    open_session = (lambda: session) if session is not None else partial(open_here, work.folder, work.latent, state)
    limit = work.folder.info.options.time_limit
    image = attempt(
        lambda: draw_contact_sheet(found, lambda rows: measure_samples(open_session(), rows), whole=summary), limit
    )
    if isinstance(image, BaseException):
        state.terminal.note(f"There is no picture of the members: {reason(image)}", "yellow")
        return None
    return None if image is None else write_image(work.folder.path / "grid.png", image)


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
    info = work.folder.info
    return _too_large(error, info.device, info.dtype, info.specs.generator)


def _too_large(error: Exception, device: str, dtype: str, generator: str) -> EquiDiffError:
    return EquiDiffError(
        f"Not even one sample fits into the memory of the device: {first_line(error)}",
        given=f"on {device}, {dtype}",
        expected="less memory: a smaller model, its checkpoint option, or --dtype bfloat16",
        hint=f"equidiff doctor -g {generator} --samples 1",
    )
