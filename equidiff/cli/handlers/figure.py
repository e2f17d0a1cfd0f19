"""Run `equidiff figure`: draw figures and print their paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from equidiff.analysis.figures.thesis.catalog import FIGURES, check_fits, check_suffix, fitting, write_figure
from equidiff.analysis.figures.thesis.source import Source
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.cli.options import State
from equidiff.errors import UsageError, unknown_name
from equidiff.folders.text import shell_word
from equidiff.run.finished import load_members
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.session import Session

ALL = "all"


@dataclass(frozen=True)
class Arguments:
    """Arguments of the command.

    Attributes:
        run: the run folder.
        name: name of a figure, or "all".
        out: the file, or the folder for all figures; by default inside the run folder.
        device: to compute on.
        objective: the run's objective again, if it is the user's own code.
    """

    run: Path
    name: str
    out: Path | None
    device: str
    objective: str | None


def perform(arguments: Arguments, state: State) -> int:
    """Draw the figures, print their paths, and return the exit code."""
    with state.terminal.status("loading"):
        files = _output_path(arguments)
        found = load_members(arguments.run)
        names = fitting(found) if arguments.name == ALL else [arguments.name]
        for name in names:
            check_fits(name, found, arguments.run)
        session = _session(arguments, state, names)
    try:
        for path in _draw(arguments, found, session, names, files, state):
            state.terminal.path(path)
    except KeyboardInterrupt:
        state.terminal.note("Interrupted: no figure is left half-written.")
        return INTERRUPTED
    return 0


def _output_path(arguments: Arguments) -> Path:
    """Path to write to: the file, or the folder for all figures."""
    if arguments.name not in {*FIGURES, ALL}:
        hint = f"equidiff figure {shell_word(arguments.run)} --name all"
        raise unknown_name("figure", arguments.name, [*FIGURES, ALL], hint)
    if arguments.name == ALL:
        if arguments.out is not None and (arguments.out.suffix or arguments.out.is_file()):
            raise UsageError(
                "Several figures do not fit into one file.",
                given=f"--out {arguments.out}",
                expected="a folder",
                hint=f"--out {shell_word(arguments.out.with_suffix(''))}",
            )
        return arguments.out or arguments.run / "figures"
    out = arguments.out or arguments.run / "figures" / f"{arguments.name}.png"
    check_suffix(out)
    return out


def _session(arguments: Arguments, state: State, names: Sequence[str]) -> Session | None:
    if not any(FIGURES[name].parts for name in names):
        return None
    command = ("equidiff", "figure", "--name", arguments.name)
    return state.open_run(arguments.run, command, arguments.objective, arguments.device).session


def _draw(
    arguments: Arguments, found: InvariantSet, session: Session | None, names: Sequence[str], out: Path, state: State
) -> list[Path]:
    total, done = sum(FIGURES[name].rows(found) for name in names), 0
    paths: list[Path] = []
    with state.terminal.progress(total, 0, "drawing") as show:
        for name in names:
            source = Source(found, session, lambda rows, doing, before=done: show(before + rows, doing))
            paths.append(write_figure(name, source, out / f"{name}.png" if arguments.name == ALL else out))
            done += FIGURES[name].rows(found)
    return paths
