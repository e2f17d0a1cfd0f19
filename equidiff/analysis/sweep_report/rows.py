"""Rows of the overview: what each run found, as texts to show and numbers to sort by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from equidiff.analysis.report.results import read_metrics
from equidiff.analysis.report.verdict import Answer, answers
from equidiff.analysis.sweep_report.thumbnails import Strip, strip_of
from equidiff.errors import EquiDiffError
from equidiff.run.parts import ClassCount
from equidiff.run.wording import percent
from equidiff.sweep.folder import RUNS
from equidiff.sweep.table import Row

MOST_CLASSES = 3
LONGEST = 240  # letters of a reason


@dataclass(frozen=True)
class Share:
    """Members that the network calls otherwise than the query, beside prior samples.

    Attributes:
        text: such as "2 of 4 (50 %)".
        members: in per cent.
        prior: in per cent; None where no prior samples were measured.
        prior_text: such as "prior 81 %".
    """

    text: str
    members: float
    prior: float | None
    prior_text: str


@dataclass(frozen=True)
class ShownRow:
    """A row of the overview.

    Attributes:
        row: of the table.
        link: to the page of the run, or to its folder; empty where there is neither.
        has_page: the link is to a page.
        strip: its thumbnails.
        cost: evaluations a sample.
        classes: those of the members, with counts.
        share: of the members that are called otherwise than the query.
        answers: of `equidiff evaluate`; empty where it was not run.
        error: the reason why it failed.
    """

    row: Row
    link: str
    has_page: bool
    strip: Strip | None
    cost: float | None
    classes: str
    share: Share | None
    answers: list[Answer]
    error: str

    @property
    def passed(self) -> int:
        """Number of questions that the members pass."""
        return sum(answer.holds is True for answer in self.answers)


def show_row(row: Row, sweep: Path, base: str, with_strip: bool) -> ShownRow:
    """A row of the overview.

    Args:
        row: of the table.
        sweep: its folder.
        base: the way from the page to that folder, as a part of a link.
        with_strip: draw its thumbnails.
    """
    run = sweep / RUNS / row.name
    has_page = (run / "report.html").is_file()
    link = f"{base}{RUNS}/{quote(row.name)}/{'report.html' if has_page else ''}" if run.is_dir() else ""
    return ShownRow(
        row,
        link,
        has_page,
        strip_of(run) if with_strip else None,
        row.evaluations / row.asked if row.evaluations is not None and row.asked else None,
        _list(row.classes),
        _share(row),
        _answers(run),
        (row.error or "")[:LONGEST],
    )


def _list(classes: Sequence[ClassCount]) -> str:
    named = [f"{each.name} ({each.count})" for each in classes[:MOST_CLASSES]]
    rest = sum(each.count for each in classes[MOST_CLASSES:])
    return ", ".join([*named, *([f"others ({rest})"] if rest else [])])


def _share(row: Row) -> Share | None:
    total = sum(each.count for each in row.classes)
    if row.called_otherwise is None or not total:
        return None
    prior = row.prior_called_otherwise
    share = row.called_otherwise / total
    return Share(
        f"{row.called_otherwise} of {total} ({percent(share)})",
        round(100 * share, 2),
        None if prior is None else round(100 * prior, 2),
        "" if prior is None else f"prior {percent(prior)}",
    )


def _answers(run: Path) -> list[Answer]:
    try:
        return answers(read_metrics(run))
    except EquiDiffError:
        return []  # the page of the run says what is wrong with it
