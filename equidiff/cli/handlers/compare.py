"""Run `equidiff compare`: introduction, progress, table and images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equidiff.analysis.compare import work as comparison
from equidiff.analysis.compare.comparison import CONTROL
from equidiff.analysis.compare.folder import COMPLETE, DOES_NOT_FIT, NAME, AttributionFolder
from equidiff.analysis.compare.freedom import LATENT
from equidiff.analysis.compare.work import COLUMNS, Work, complete_entries, draw_images, run_methods
from equidiff.cli.console import Terminal
from equidiff.cli.exit_codes import INTERRUPTED, NOT_ALL_MEMBERS
from equidiff.cli.options import State
from equidiff.folders.text import shell_word
from equidiff.registry.specs import Spec, print_list
from equidiff.run.finished import open_finished
from equidiff.run.own_code import name_again

COMMAND = ("equidiff", "compare")
NOT_STARTED_NEAR = " by their {}; to start members there, run with --start query"


def prepare(
    state: State,
    run: Path,
    specs: Sequence[Spec] | None,
    most: int | None,
    objective: str | None,
    batch: int,
    device: str,
) -> Work:
    """Open the run, build the methods, and read earlier comparisons.

    Args:
        state: plugins and terminal.
        run: the run folder.
        specs: the methods; None for all.
        most: members to explain; by default as many as before, or 16.
        objective: the run's objective again, if it is the user's own code.
        batch: samples in one pass.
        device: to compute on.
    """
    plugins = state.plugins()
    finished = open_finished(run, plugins, COMMAND, objective=objective, files=state.files, device=device)
    return comparison.prepare(finished, plugins, specs, most, batch)


def perform(work: Work, state: State, as_json: bool) -> int:
    """Compare the methods, draw the images, print the table, and return the exit code."""
    terminal = state.terminal
    terminal.facts(_introduction(work))
    asked = [built.spec for built in work.methods]
    left = list(asked)
    try:
        with terminal.progress(work.effort, 0, "comparing") as show:
            for entry in run_methods(work, show):
                left.remove(entry["spec"])
                work.folder.write(command=_resume_command(work, state, _specs(work.folder)))
                _warn(entry, terminal)
    except KeyboardInterrupt:
        _conclude(work, terminal)
        kept = f"{len(asked) - len(left)} of {len(asked)} methods are finished and saved"
        terminal.note(f"Interrupted: {kept}. Continue with: {_resume_command(work, state, left)}")
        return INTERRUPTED
    _conclude(work, terminal)
    folder = work.folder
    terminal.answer(folder.path, NAME if as_json else None)
    done = [entry["status"] == COMPLETE for entry in folder.info["methods"] if entry["spec"] in asked]
    return 0 if all(done) else NOT_ALL_MEMBERS


def _introduction(work: Work) -> list[tuple[str, object]]:
    scalar = work.folder.info["explained"]
    query = f", {scalar['query']:.4g} for the query" if work.subject.query else ""
    samples = f"{'the query and ' if work.subject.query else ''}{len(work.subject.members)} members"
    rows: list[tuple[str, object]] = [
        ("explained", f"{scalar['name']} ({scalar['unit']}), kept at {scalar['target']:.4g}{query}"),
        ("maps of", f"{samples}, on {work.subject.samples.device}"),
    ]
    freedom = work.subject.freedom
    if isinstance(freedom, str):
        return [*rows, ("freedom", f"not known: {freedom}")]
    near = f"{len(freedom.members)} members near the query"
    how = "" if freedom.measure == LATENT else NOT_STARTED_NEAR.format(freedom.measure)
    return [
        *rows,
        ("freedom", f"of {near}{how}"),
    ]


def _warn(entry: dict[str, Any], terminal: Terminal) -> None:
    if entry["status"] != COMPLETE:
        words = "does not fit" if entry["status"] == DOES_NOT_FIT else "failed"
        terminal.note(f"{entry['spec']} {words}: {entry['reason']}", "yellow")
    for note in entry.get("notes", ()):
        terminal.note(f"{entry['spec']}: {note}", "yellow")


def _conclude(work: Work, terminal: Terminal) -> None:
    """Print the table of all finished methods, and draw the images."""
    entries = complete_entries(work.folder)
    if not entries:
        return
    known = [key for key in COLUMNS if any(key in entry["numbers"] for entry in entries)]
    rows = [
        [entry["spec"], *(_cell(entry["numbers"].get(key)) for key in known), f"{entry['wall_s']:.1f}"]
        for entry in entries
    ]
    terminal.table(("method", *(COLUMNS[key] for key in known), "seconds"), rows, result=False)
    with terminal.status("drawing"):
        images = draw_images(work)
    terminal.facts([("images", "\n".join(map(str, images)))])


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.1e}"


def _specs(folder: AttributionFolder) -> list[str]:
    return [entry["spec"] for entry in folder.info["methods"] if entry["spec"] != CONTROL]


def _resume_command(work: Work, state: State, specs: Sequence[str]) -> str:
    """Command that runs these methods."""
    listed = print_list(map(Spec.parse, specs or [CONTROL]))
    command = name_again((*COMMAND, str(work.run)), work.objective, state.files)
    return f"{command} --methods {shell_word(listed)} --members {len(work.subject.members)}"
