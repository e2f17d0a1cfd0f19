"""Drawing figures for a person who watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from equidiff.analysis.figures.draw import FIGURES, check_fits, check_suffix, fitting, make
from equidiff.analysis.figures.source import Source
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.options import State
from equidiff.errors import UsageError, unknown_name
from equidiff.run.finished import load_members, open_finished
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.session import Session

ALL = "all"


@dataclass(frozen=True)
class Wanted:
    """What was asked for.

    Attributes:
        run: the run folder.
        name: of a figure, or "all".
        out: the file, or the folder for all; in the run folder when absent.
        device: to compute on.
        objective: the run's objective, named again.
    """

    run: Path
    name: str
    out: Path | None
    device: str
    objective: str | None


def perform(wanted: Wanted, state: State) -> int:
    """Draw, print the paths, and return the exit code."""
    with state.terminal.status("loading"):
        files = _check(wanted)
        found = load_members(wanted.run)
        names = fitting(found) if wanted.name == ALL else [wanted.name]
        for name in names:
            check_fits(name, found, wanted.run)
        session = _session(wanted, state, names)
    try:
        for path in _draw(wanted, found, session, names, files, state):
            state.terminal.result(str(path))
    except KeyboardInterrupt:
        state.terminal.note("Interrupted: no figure is half written.")
        return INTERRUPTED
    return 0


def _check(wanted: Wanted) -> Path:
    """Where the figures go: the file, or the folder for all."""
    if wanted.name not in {*FIGURES, ALL}:
        hint = f"equidiff figure {wanted.run} --name all"
        raise unknown_name("figure", wanted.name, [*FIGURES, ALL], hint)
    if wanted.name == ALL:
        if wanted.out is not None and (wanted.out.suffix or wanted.out.is_file()):
            raise UsageError(
                "All figures do not go into one file.",
                given=f"--out {wanted.out}",
                expected="a folder",
                hint=f"--out {wanted.out.with_suffix('')}",
            )
        return wanted.out or wanted.run / "figures"
    out = wanted.out or wanted.run / "figures" / f"{wanted.name}.png"
    check_suffix(out)
    return out


def _session(wanted: Wanted, state: State, names: Sequence[str]) -> Session | None:
    if not any(FIGURES[name].parts for name in names):
        return None
    command = ("equidiff", "figure", "--name", wanted.name)
    opened = open_finished(
        wanted.run, state.plugins(), command, objective=wanted.objective, files=state.files, device=wanted.device
    )
    return opened.session


def _draw(
    wanted: Wanted, found: InvariantSet, session: Session | None, names: Sequence[str], out: Path, state: State
) -> list[Path]:
    total, done = sum(FIGURES[name].rows(found) for name in names), 0
    paths: list[Path] = []
    with state.terminal.progress(total, 0, "drawing") as show:
        for name in names:
            source = Source(found, session, lambda rows, doing, before=done: show(before + rows, doing))
            paths.append(make(name, source, out / f"{name}.png" if wanted.name == ALL else out))
            done += FIGURES[name].rows(found)
    return paths
