"""The overview: gather what the runs of a sweep found, and fill the template."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from equidiff.analysis.sweep_report.rows import ShownRow, show_row
from equidiff.analysis.web_page import assets, environment, write_page
from equidiff.folders.status import COMPLETE, RUN_FAILED
from equidiff.folders.text import shell_command
from equidiff.sweep.forecast import duration
from equidiff.sweep.table import CSV, SweepInfo, read_sweep

Show = Callable[[int, str], None]
OWN, REPORT = "equidiff.analysis.sweep_report", "equidiff.analysis.report"
MOST_ROWS = 5_000  # a browser takes seconds for more; the table has all
MOST_STRIPS = 1_000
MOST_SETTINGS = 6  # columns of settings


def write_overview(path: Path, out: Path, show: Show = lambda _done, _state: None) -> Path:
    """Write the page atomically.

    Args:
        path: the folder of a sweep.
        out: the file to write.
        show: called with the number of runs that were drawn.

    Raises:
        RunFolderError: the table is damaged, or the page cannot be written.
    """
    page = render(read_sweep(path), path, out, show)
    return write_page(page, out, path)


def render(info: SweepInfo, path: Path, out: Path, show: Show) -> str:
    """Render the page as text."""
    base = _way(out.absolute().parent, path.absolute())
    rows = []
    for number, row in enumerate(info.runs[:MOST_ROWS]):
        rows.append(show_row(row, path, base, number < MOST_STRIPS))
        show(number + 1, row.name)
    return environment(OWN).get_template("sweep.html.j2").render(
        info=info,
        rows=rows,
        settings=list(info.varied[:MOST_SETTINGS]),
        common=_common(info),
        statuses=sorted({each.row.status for each in rows}),
        has=_has(rows),
        title=_title(info),
        below=_below(info, rows),
        warnings=_warnings(info, rows),
        table=f"{base}{CSV}",
        commands=_commands(info, path),
        **assets([(REPORT, "page.css"), (OWN, "sweep.css")], [(OWN, "sweep.js")]),
    )  # fmt: skip


def _way(start: Path, end: Path) -> str:
    """The way between two folders, as the beginning of a link."""
    way = os.path.relpath(end, start)
    return "" if way == "." else quote(Path(way).as_posix(), errors="surrogateescape") + "/"


def _has(rows: list[ShownRow]) -> dict[str, bool]:
    """Columns that any row has something for."""
    return {
        "strip": any(each.strip for each in rows),
        "classes": any(each.classes or each.row.query_class for each in rows),
        "share": any(each.share for each in rows),
        "answers": any(each.answers for each in rows),
        "target": any(each.row.target is not None for each in rows),
        "page": any(each.has_page for each in rows),
        "status": any(each.row.status != COMPLETE for each in rows),
    }


def _common(info: SweepInfo) -> list[tuple[str, str]]:
    """Settings that all runs share."""
    first = info.runs[0].settings if info.runs else {}
    return [(name, text) for name, text in first.items() if name not in info.varied]


def _title(info: SweepInfo) -> str:
    runs = info.counts.get("runs", 0)
    return f"{info.samples.get('members', 0)} of {info.samples.get('asked', 0)} samples of {runs} runs are members"


def _below(info: SweepInfo, rows: list[ShownRow]) -> str:
    parts = [f"{info.evaluations:.0f} evaluations, {duration(info.wall_s)}"]
    shares = [each for each in rows if each.share is not None and each.share.prior is not None]
    if shares:
        otherwise = sum(each.row.called_otherwise or 0 for each in shares)
        total = sum(count.count for each in shares for count in each.row.classes)
        prior = sum(each.row.prior_called_otherwise or 0.0 for each in shares) / len(shares)
        parts.insert(
            0, f"{otherwise} of {total} members are called otherwise than their query; of prior samples {prior:.0%}"
        )
    return ". ".join(parts) + "."


def _warnings(info: SweepInfo, rows: list[ShownRow]) -> list[str]:
    failed, runs = info.counts.get(RUN_FAILED, 0), len(info.runs)
    open_ = runs - failed - info.counts.get(COMPLETE, 0)
    found = [f"{failed} of {runs} runs failed."] if failed else []
    found += [f"{open_} of {runs} runs are not complete."] if open_ else []
    if runs > len(rows):
        found.append(f"This page shows the first {len(rows)} of {runs} runs; {CSV} has all.")
    if len(rows) > MOST_STRIPS:
        found.append(f"The first {MOST_STRIPS} runs have thumbnails.")
    return found


def _commands(info: SweepInfo, path: Path) -> dict[str, Any]:
    """Commands that continue the sweep, and add to this page."""
    commands = {"pages of all runs": shell_command(["equidiff", "report", str(path), "--runs"])}
    if info.counts.get(COMPLETE, 0) < len(info.runs):
        commands = {"continue": shell_command(["equidiff", "sweep", "--resume", str(path)]), **commands}
    return commands
