"""Run `equidiff calibrate`: searches for each query, ranks, picture and verdict."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from equidiff.analysis.calibration.drawing import draw_ranks
from equidiff.analysis.calibration.folder import FILE, CalibrationFolder, read_calibration
from equidiff.analysis.calibration.outcome import FEW, NOT_REJECTED, Calibration, conclude
from equidiff.analysis.calibration.plan import Plan
from equidiff.analysis.calibration.queries import draw_queries, read_queries
from equidiff.analysis.calibration.search import Experiment
from equidiff.analysis.calibration.statistics import Statistics, make_statistics
from equidiff.cli.console import Terminal
from equidiff.cli.exit_codes import INTERRUPTED, LAW_REJECTED
from equidiff.cli.handlers.memory import explain_out_of_memory
from equidiff.cli.options import State
from equidiff.errors import RunFolderError, UsageError
from equidiff.folders.paths import free_path
from equidiff.folders.status import COMPLETE
from equidiff.folders.status import INTERRUPTED as STOPPED
from equidiff.folders.text import shell_command
from equidiff.registry.manager import Plugins
from equidiff.registry.provenance import versions
from equidiff.registry.published import check_published
from equidiff.run.info import is_custom
from equidiff.run.own_code import name_again
from equidiff.run.session import Session, prepare

CODE = "module:"  # a feature space that is code of the user's own
CALIBRATIONS = Path("calibrations")
RESUME = ("equidiff", "calibrate", "--resume")


@dataclass(frozen=True)
class Work:
    """A calibration to carry out.

    Attributes:
        experiment: the searches.
        folder: keeps their rows.
        command: continues it where it is interrupted.
    """

    experiment: Experiment
    folder: CalibrationFolder
    command: str

    @property
    def todo(self) -> list[int]:
        """Queries that have no row yet."""
        return [number for number in range(len(self.experiment.queries)) if number not in self.folder.rows]


def begin(given: dict[str, Any], out: Path | None, state: State, tell: Callable[[str], None]) -> Work:
    """Prepare a new calibration.

    Args:
        given: settings that the user typed.
        out: the folder to make.
        state: plugins.
        tell: called with what is being done.
    """
    plan, plugins = _plan(given), state.plugins()
    check_published(plugins, {kind: given[kind] for kind in ("generator", "objective") if kind in given})
    experiment = _experiment(plan, plugins, tell)
    path = free_path(plan.generator, plan.objective, CALIBRATIONS) if out is None else out
    folder = CalibrationFolder.create(path, _describe(plan, experiment.session, experiment.statistics))
    return Work(experiment, folder, _resume_command(path, plan, state.files))


def resume(given: dict[str, Any], path: Path, state: State, tell: Callable[[str], None]) -> Work:
    """Prepare the rest of a calibration.

    Args:
        given: the objective and the feature space, where the user named them again.
        path: its folder.
        state: plugins.
        tell: called with what is being done.

    Raises:
        UsageError: another objective or feature space was named.
        RunFolderError: code of the user's own must be named again, or the folder cannot be continued.
    """
    plan = Plan.model_validate(read_calibration(path)["plan"])
    _check_named(plan, given, path, state.files)
    experiment = _experiment(plan, state.plugins(), tell)
    folder = CalibrationFolder.open(path)
    folder.check(list(experiment.statistics.names), experiment.queries.names)
    return Work(experiment, folder, _resume_command(path, plan, state.files))


def perform(work: Work, terminal: Terminal, as_json: bool) -> int:
    """Search for the members of each query, say and draw how they rank, and return the exit code."""
    experiment, folder, started = work.experiment, work.folder, time.monotonic()
    terminal.facts(_introduction(work))
    settings = experiment.session.settings
    hint = f"{work.command}   # on a device with more memory"
    try:
        with explain_out_of_memory(settings.batch, "a smaller model, or a larger device", hint):
            _search(work, terminal)
        calibration = _conclude(work)
    except BaseException as error:
        folder.end(STOPPED, time.monotonic() - started, {})
        if not isinstance(error, KeyboardInterrupt):
            raise
        kept, asked = len(folder.rows), len(experiment.queries)
        terminal.note(f"Interrupted: {kept} of {asked} queries are kept.")
        terminal.command("continue", work.command)
        return INTERRUPTED
    warnings = _warnings(work, calibration)
    with terminal.status("drawing"):
        image = folder.draw(draw_ranks(calibration, _title(work))) if calibration.statistics else None
    folder.end(COMPLETE, time.monotonic() - started, {"result": calibration.to_json(), "warnings": warnings})
    _show(calibration, warnings, image, work, terminal)
    terminal.answer(folder.path, FILE if as_json else None)
    return 0 if calibration.outcome == NOT_REJECTED else LAW_REJECTED


def _plan(given: dict[str, Any]) -> Plan:
    try:
        return Plan(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UsageError(
            f"The value of {name} cannot be used.", given=given[name], expected=first["msg"].lower()
        ) from None


def _experiment(plan: Plan, plugins: Plugins, tell: Callable[[str], None]) -> Experiment:
    session = prepare(plan.settings, plugins, default_to_query=True, tell=tell)
    tell("reading queries" if plan.images else "making queries")
    folder = plan.folder_of_images
    queries = draw_queries(session, plan.queries) if folder is None else read_queries(session, folder, plan.queries)
    statistics = make_statistics(session, plan.features, queries.latents is not None)
    return Experiment(session, queries, statistics, plan.members)


def _describe(plan: Plan, session: Session, statistics: Statistics) -> dict[str, Any]:
    """The content of `calibration.json` before the first search."""
    return {
        "plan": plan.model_dump(),
        "specs": {kind: built.spec for kind, built in session.built.items()},
        "statistics": list(statistics.names),
        "features": statistics.space,
        "tolerance": session.tolerance,
        "within": _within(session),
        "spread": 0.0 if session.prior is None else session.prior.spread,
        "device": session.device,
        "dtype": session.settings.dtype,
        "weights": [vars(file) for file in session.context.weights],
        "versions": versions(session.built.values()),
    }


def _within(session: Session) -> float:
    """Distance from the target within which a member lies."""
    return math.sqrt(session.tolerance / session.solver.weight)


def _check_named(plan: Plan, given: dict[str, Any], path: Path, files: Sequence[Path]) -> None:
    own = {"objective": is_custom(plan.objective), "features": (plan.features or "").startswith(CODE)}
    for name, is_own in own.items():
        recorded = getattr(plan, name)
        if name in given and given[name] != recorded:
            raise UsageError(
                f"A calibration keeps its {name}.", given=given[name], expected=f"{recorded}, or no --{name}"
            )
        if is_own and name not in given:
            raise RunFolderError(
                f"The {name} of this calibration is code that is not part of EquiDiff or of a plugin, and would be "
                "executed.",
                given=recorded,
                expected="the same, named again, if you trust it",
                hint=_resume_command(path, plan, files),
            )


def _resume_command(path: Path, plan: Plan, files: Sequence[Path]) -> str:
    command = name_again((*RESUME, str(path)), plan.objective, files)
    own = (plan.features or "").startswith(CODE)
    return f"{command} {shell_command(['--features', str(plan.features)])}" if own else command


def _search(work: Work, terminal: Terminal) -> None:
    experiment, folder = work.experiment, work.folder
    each, total = experiment.members, len(experiment.queries) * experiment.members
    with terminal.progress(total, len(folder.rows) * each, "searching") as show:
        for number in work.todo:
            done, state = len(folder.rows) * each, _state(folder, len(experiment.queries))
            folder.add(experiment.row(number, lambda found, done=done, state=state: show(done + found, state)))


def _state(folder: CalibrationFolder, queries: int) -> str:
    rows = folder.rows.values()
    asked = sum(row.asked for row in rows)
    found = f", {sum(row.found for row in rows)} of {asked} samples are members" if asked else ""
    return f"{len(rows)} of {queries} queries done{found}"


def _conclude(work: Work) -> Calibration:
    rows = [work.folder.rows[number] for number in sorted(work.folder.rows)]
    info = work.folder.info
    return conclude(rows, work.experiment.statistics.names, info["within"], info["spread"])


def _introduction(work: Work) -> list[tuple[str, object]]:
    session, queries = work.experiment.session, work.experiment.queries
    specs = {kind: built.spec for kind, built in session.built.items()}
    source = "prior samples" if queries.latents is not None else "images"
    return [
        ("generator", specs["generator"]),
        ("objective", specs["objective"]),
        ("solver", _method(session)),
        ("queries", f"{len(queries)} {source}, {work.experiment.members} members to find for each"),
        ("features", work.experiment.statistics.space),
    ]


def _title(work: Work) -> str:
    session = work.experiment.session
    specs = {kind: built.spec for kind, built in session.built.items()}
    return f"{specs['generator']}, {specs['objective']}, solver {_method(session)}"


def _method(session: Session) -> str:
    start = "" if session.settings.start == "prior" else f", started at the {session.settings.start}"
    return f"{session.built['solver'].spec}, law {session.built['law'].spec}{start}"


def _warnings(work: Work, calibration: Calibration) -> list[str]:
    experiment = work.experiment
    found: list[str] = list(experiment.session.warnings)
    if experiment.queries.unread:
        found.append(f"{experiment.queries.unread} images cannot be read, and are left out.")
    if calibration.queries["without"]:
        found.append(f"{calibration.queries['without']} queries have no members, and no rank.")
    if calibration.queries["ranked"] < FEW:
        found.append(f"{calibration.queries['ranked']} queries: only large errors of the law are seen with so few.")
    if calibration.missing:
        found.append(f"{calibration.missing:.1%} of the members were not found: ranks are among those that were.")
    if calibration.members["banked"]:
        found.append(
            f"{calibration.members['banked']} members are samples of the bank, which queries may share: their ranks "
            "then depend on each other, and p is too small."
        )
    if experiment.queries.latents is None:
        found.append("Queries are images: a generator that does not have their law is rejected, too.")
    return found


def _show(calibration: Calibration, warnings: list[str], image: Path | None, work: Work, terminal: Terminal) -> None:
    columns = ("statistic", "chi squared", "expected", "p", "mean rank")
    rows = [
        (each.name, f"{each.chi_squared:.1f}", f"{each.expected:.1f}", f"{each.p:.2g}", f"{each.mean_rank:.2f}")
        for each in calibration.statistics
    ]
    if rows:
        terminal.table(columns, rows, result=False, spare=("mean rank", "expected"))
    for name, reason in calibration.excluded.items():
        terminal.note(f"Not tested: {name}, because {reason}.")
    terminal.note(calibration.sentence, "green" if calibration.outcome == NOT_REJECTED else "yellow")
    for warning in warnings:
        terminal.note(warning, "yellow")
    members, info = calibration.members, work.folder.info
    facts: list[tuple[str, object]] = [("members", f"{members['found']} of {members['asked']}")]
    if calibration.evaluations is not None:
        facts.append(("cost", f"{calibration.evaluations:.1f} evaluations a sample searched for"))
    facts.append(("time", f"{info['wall_s']:.1f} s"))
    terminal.facts([*facts, *([("picture", image)] if image is not None else [])])
