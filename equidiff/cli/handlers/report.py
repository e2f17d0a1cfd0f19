"""Write the report of a run, for `equidiff report` and `equidiff run --report`."""

from __future__ import annotations

from pathlib import Path

from equidiff.analysis.citations import citations
from equidiff.analysis.limits import ON_PAGE
from equidiff.analysis.report import write_report
from equidiff.cli.options import State
from equidiff.run.finished import load_members


def write_page(run: Path, state: State, out: Path | None = None, members: int = ON_PAGE) -> Path:
    """Write the page and return its path.

    Args:
        run: the run folder.
        state: plugins and terminal.
        out: the file to write; report.html in the run folder when absent.
        members: how many have a place on the page.
    """
    found = load_members(run)
    cited, _ = citations(found.info, state.plugins())
    with state.terminal.progress(2 * min(len(found), members), 0, "drawing") as show:
        return write_report(found, run, out or run / "report.html", cited, show, members)
