"""Run `equidiff select`: select members, write and print them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from equidiff.analysis.figures.grid import Choice, draw_contact_sheet
from equidiff.analysis.selection import PRIOR, Selection, select
from equidiff.cli.console import Terminal
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.folders.atomic import write_atomically, write_image
from equidiff.folders.paths import unwritable
from equidiff.folders.status import timestamp
from equidiff.folders.text import to_json
from equidiff.run.finished import Finished

SUBTITLES = {
    "diversity": "the {} most different of {}",
    "novelty": "of {1}, the {0} most unlike the query and prior samples",
    "typicality": "the {} most typical of {}",
}


def perform(
    finished: Finished, count: int, by: str, features: str | None, members: int, terminal: Terminal, as_json: bool
) -> int:
    """Select members, write and print them, and return the exit code."""
    total = min(len(finished.found), members) + (finished.found.query is not None) + (0 if by == "diversity" else PRIOR)
    try:
        with terminal.progress(total, 0, "selecting") as show:
            selection = select(finished.session, finished.found, count, by, features, show, members)
        written = describe(selection)
        image = _write(finished, selection, written)
    except KeyboardInterrupt:
        terminal.note("Interrupted: no selection was written.")
        return INTERRUPTED
    terminal.facts([("compared by", selection.features), ("score", selection.meaning)])
    if selection.among < len(finished.found):
        terminal.facts([("selected from", _count(selection, finished))])
    if selection.warning:
        terminal.note(selection.warning, "yellow")
    terminal.table(("member", "score", "from the query", "from the nearest selected"), _rows(selection), result=False)
    if image is not None:
        terminal.facts([("image", image)])
    indices = " ".join(str(member.index) for member in selection.members)
    if as_json:
        terminal.json(to_json(written, indent=2))
    else:
        terminal.result(indices)
    return 0


def describe(selection: Selection) -> dict[str, Any]:
    """Content of the JSON file of a selection; numbers that were not measured are absent."""
    members = [{name: value for name, value in vars(each).items() if value is not None} for each in selection.members]
    return {
        "by": selection.by,
        "made": timestamp(),
        "features": selection.features,
        "meaning": selection.meaning,
        **({"doubt": selection.warning} if selection.warning else {}),
        "plain": selection.prior,
        "among": selection.among,
        "members": members,
    }


def _rows(selection: Selection) -> list[list[str]]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    return [
        [str(each.index), number(each.score), number(each.from_query), number(each.nearest)]
        for each in selection.members
    ]


def _count(selection: Selection, finished: Finished) -> str:
    """Number of members that were compared, in words that name those of the run if it has more."""
    total = len(finished.found)
    return f"{total} members" if selection.among == total else f"{selection.among} members drawn from {total}"


def _write(finished: Finished, selection: Selection, written: dict[str, Any]) -> Path | None:
    folder = finished.path / "selections"
    problem = finished.session.problem
    count, subtitle = len(selection.members), SUBTITLES[selection.by]
    choice = Choice([each.index for each in selection.members], subtitle.format(count, _count(selection, finished)))
    image = draw_contact_sheet(finished.found, lambda x: problem.objective.measure(x.to(problem.target.device)), choice)
    try:
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"{selection.by}.json", to_json(written, indent=2) + "\n")
        return None if image is None else write_image(folder / f"{selection.by}.png", image)
    except OSError as error:
        raise unwritable(folder, error) from error
