"""The page: gather everything about a run, and fill the template."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equidiff.analysis.limits import ON_PAGE
from equidiff.analysis.prior_samples import prior_samples
from equidiff.analysis.report.charts import charts_of
from equidiff.analysis.report.class_chips import COLOURS, chips_of, class_colours
from equidiff.analysis.report.commands import commands_of
from equidiff.analysis.report.heat_maps import SPECTRUM
from equidiff.analysis.report.kind_parts import column_keys, table_of
from equidiff.analysis.report.members import Card, CardRenderer
from equidiff.analysis.report.nearest import read_nearest
from equidiff.analysis.report.other_files import read_comparison, read_figures, read_path_figures, read_selections
from equidiff.analysis.report.paths import PathStrip, read_paths
from equidiff.analysis.report.reproduce import reproduction_command
from equidiff.analysis.report.results import (
    Method,
    absent,
    columns,
    read_methods,
    read_metrics,
    realism,
    tables,
    warnings,
)
from equidiff.analysis.report.scatter import Scatter, scatter_of
from equidiff.analysis.report.settings import other_rows, settings_rows
from equidiff.analysis.report.sort_keys import SortKey, sort_keys
from equidiff.analysis.report.verdict import answers
from equidiff.analysis.subsample import draw_members
from equidiff.analysis.web_page import assets, environment, write_page
from equidiff.run.info import RunInfo
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.wording import called, called_otherwise, prior_warning, question
from equidiff.run.wording import found as found_sentence

Show = Callable[[int, str], None]
PACKAGE = "equidiff.analysis.report"
STYLES = ("page.css", "members.css", "plots.css", "viewer.css", "play.css", "media.css")
SCRIPTS = ("start.js", "members.js", "viewer.js", "map.js", "downloads.js", "game.js", "paths.js")
COLUMN_NAMES = {
    "value": "members",
    "interval": "95 % interval",
    "plain": "prior samples",
    "plain_interval": "95 % interval of prior",
    "reference": "real images",
    "n": "n",
    "unit": "unit",
}
MOST_OTHERS = 200  # samples that are not members, in their table


def write_report(
    found: InvariantSet,
    path: Path,
    out: Path,
    cited: Sequence[str] = (),
    show: Show = lambda _done, _state: None,
    members: int = ON_PAGE,
) -> Path:
    """Write the page atomically.

    Args:
        found: a run with members.
        path: its folder, which may hold results of other commands.
        out: the file to write.
        cited: BibTeX entries of the components used.
        show: called with the progress, out of two for each member on the page.
        members: how many of the members have a place on the page. Of a run that has more, they are those of selections
            and comparisons, and others drawn by its seed; sentences, counts and histograms are of all.

    Raises:
        RunFolderError: a file of the folder is damaged, or the page cannot be written.
    """
    page = render(found, path, cited, show, members)
    return write_page(page, out, path)


@dataclass(frozen=True)
class Drawn:
    """The parts of the page that its script and its template share."""

    keys: list[SortKey]
    cards: list[Card]
    query: Card | None
    prior: list[dict[str, Any]]
    scatter: Scatter | None
    paths: list[PathStrip]
    names: dict[int, str]


def render(found: InvariantSet, path: Path, cited: Sequence[str], show: Show, members: int = ON_PAGE) -> str:
    """Render the page as text; see `write_report`."""
    metrics, methods, selections = read_metrics(path), read_methods(path, found), read_selections(path)
    named = [index for each in selections for index, _ in each.members]
    compared = [index for method in methods for index in method.members]
    shown = draw_members(found, members, [*named, *compared])
    drawn = _draw(shown, found, path, metrics, methods, show)
    command, note = reproduction_command(found.info)
    return environment(PACKAGE).get_template("report.html.j2").render(
        vars(drawn),
        info=found.info,
        **_sentences(found.info),
        path=path,
        settings=settings_rows(found.info),
        chips=chips_of(found.info),
        colours=class_colours(found.info),
        colour_count=COLOURS,
        by_index={card.index: card for card in drawn.cards},
        total=len(found),
        on_page=Counter(each.called.index for each in shown.members if each.called),
        playable=_is_playable(found, drawn),
        zip=zip,
        data=_data(found, drawn),
        **_measured(metrics, methods),
        charts=charts_of(found),
        other_count=len(found.records) - len(found),
        others=other_rows(found, MOST_OTHERS),
        selections=selections,
        figures=read_figures(path),
        kind=found.kind,
        table=table_of(shown),
        comparison=read_comparison(path),
        path_figures=[] if drawn.paths else read_path_figures(path),
        commands=commands_of(found, path),
        command=command,
        command_note=note,
        cited=cited,
        **assets([(PACKAGE, name) for name in STYLES], [(PACKAGE, name) for name in SCRIPTS]),
    )  # fmt: skip


def _draw(
    shown: InvariantSet,
    found: InvariantSet,
    path: Path,
    metrics: dict[str, Any],
    methods: Sequence[Method],
    show: Show,
) -> Drawn:
    keys = [*sort_keys(shown, realism(metrics, shown), found), *column_keys(shown)]
    renderer = CardRenderer(shown, methods, read_nearest(path, metrics, {record.index for record in shown.members}))
    samples = prior_samples(shown)
    scatter = scatter_of(shown, samples, metrics)
    prior = renderer.prior(samples, [] if scatter is None else scatter.prior)
    cards = renderer.cards(keys, show)
    return Drawn(keys, cards, renderer.query(), prior, scatter, read_paths(path, shown), renderer.names)


def _measured(metrics: dict[str, Any], methods: Sequence[Method]) -> dict[str, Any]:
    """Results of `equidiff evaluate` and `equidiff compare`, for the template."""
    return {
        "answers": answers(metrics),
        "tables": tables(metrics),
        "columns": columns,
        "column_names": COLUMN_NAMES,
        "warnings": warnings(metrics),
        "absent": absent(metrics),
        "methods": methods,
        "number_names": list(dict.fromkeys(name for method in methods for name in method.numbers)),
    }


def _is_playable(found: InvariantSet, drawn: Drawn) -> bool:
    """True if there is a query, and a prior sample that is not a member, to choose between."""
    return drawn.query is not None and found.kind.is_image and any(not each["member"] for each in drawn.prior)


def _sentences(info: RunInfo) -> dict[str, str | list[str] | None]:
    """Sentences at the top of the page: the finding first, where the network has classes."""
    named, counted = called(info), found_sentence(info)
    below = [each for each in (called_otherwise(info), counted if named else None) if each]
    return {
        "question": question(info),
        "title": named or counted,
        "below": ". ".join(below) + "." if below else "",
        "cautions": [each for each in (*info.notes, prior_warning(info)) if each],
    }


def _data(found: InvariantSet, drawn: Drawn) -> dict[str, Any]:
    """Data for the page's script."""
    info = found.info
    places = drawn.scatter.members if drawn.scatter is not None else [None] * len(drawn.cards)
    return {
        "what": found.kind.heading,
        "run": {
            "id": hashlib.sha256(info.to_json().encode()).hexdigest()[:16],
            "seed": info.seed,
            "question": question(info),
            **info.specs.model_dump(),
        },
        "unit": info.target.unit,
        "total": len(found),
        "outputs": list(info.target.names),
        "spectrum": SPECTRUM,
        "classes": {str(index): name for index, name in drawn.names.items()},
        "keys": [{"name": key.name, "label": key.label, "unit": key.unit} for key in drawn.keys],
        "query": None if drawn.query is None else drawn.query.data,
        "members": [
            card.data | ({} if place is None else {"place": place})
            for card, place in zip(drawn.cards, places, strict=True)
        ],
        "prior": drawn.prior,
        "paths": [strip.data for strip in drawn.paths],
    }
