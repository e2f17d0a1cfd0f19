"""Selecting members for a person who watches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from equidiff.analysis.figures.overview import Choice, draw_grid
from equidiff.analysis.selection import PLAIN, Selection, select
from equidiff.cli.console import Terminal
from equidiff.cli.exit_codes import INTERRUPTED
from equidiff.folders import timestamp, unwritable, write_atomically, write_image
from equidiff.run.finished import Finished

SUBTITLES = {
    "diversity": "the {} most different of {} members",
    "novelty": "of {1} members, the {0} most unlike the query and prior samples",
    "typicality": "the {} most typical of {} members",
}


def perform(finished: Finished, count: int, by: str, features: str | None, terminal: Terminal, as_json: bool) -> int:
    """Select, write and show; return the exit code."""
    total = len(finished.found) + (finished.found.query is not None) + (0 if by == "diversity" else PLAIN)
    try:
        with terminal.progress(total, 0, "looking") as show:
            selection = select(finished.session, finished.found, count, by, features, show)
        written = describe(selection)
        picture = _write(finished, selection, written)
    except KeyboardInterrupt:
        terminal.note("Interrupted: no selection was written.")
        return INTERRUPTED
    terminal.facts([("compared by", selection.features), ("score", selection.meaning)])
    if selection.doubt:
        terminal.note(selection.doubt, "yellow")
    terminal.table(("member", "score", "from the query", "from the nearest selected"), _rows(selection), result=False)
    if picture is not None:
        terminal.facts([("picture", picture)])
    indices = " ".join(str(member.index) for member in selection.members)
    terminal.result(json.dumps(written, indent=2) if as_json else indices)
    return 0


def describe(selection: Selection) -> dict[str, Any]:
    """What is written of a selection; what was not measured is absent."""
    members = [{name: value for name, value in vars(each).items() if value is not None} for each in selection.members]
    return {
        "by": selection.by,
        "made": timestamp(),
        "features": selection.features,
        "meaning": selection.meaning,
        **({"doubt": selection.doubt} if selection.doubt else {}),
        "plain": selection.plain,
        "members": members,
    }


def _rows(selection: Selection) -> list[list[str]]:
    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    return [
        [str(each.index), number(each.score), number(each.from_query), number(each.nearest)]
        for each in selection.members
    ]


def _write(finished: Finished, selection: Selection, written: dict[str, Any]) -> Path | None:
    folder = finished.path / "selections"
    problem = finished.session.problem
    count, subtitle = len(selection.members), SUBTITLES[selection.by]
    choice = Choice([each.index for each in selection.members], subtitle.format(count, len(finished.found)))
    picture = draw_grid(finished.found, lambda x: problem.objective.measure(x.to(problem.target.device)), choice)
    try:
        folder.mkdir(exist_ok=True)
        write_atomically(folder / f"{selection.by}.json", json.dumps(written, indent=2) + "\n")
        return None if picture is None else write_image(folder / f"{selection.by}.png", picture)
    except OSError as error:
        raise unwritable(folder, error) from error
