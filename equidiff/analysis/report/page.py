"""The page itself: everything gathered, and put into the template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from equidiff.analysis.figures.overview import headline
from equidiff.analysis.report.again import again
from equidiff.analysis.report.cards import Card, Drawer
from equidiff.analysis.report.charts import charts_of
from equidiff.analysis.report.extras import absent, columns, read_methods, read_metrics, realism, tables, warnings
from equidiff.analysis.report.numbers import Key, keys_of
from equidiff.errors import RunFolderError
from equidiff.folders import write_atomically
from equidiff.images.convert import is_image
from equidiff.run.info import RunInfo
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record
from equidiff.search.engine import MEMBER

Show = Callable[[int, str], None]
COLUMN_NAMES = {
    "value": "members",
    "interval": "interval",
    "plain": "prior samples",
    "plain_interval": "interval of prior",
    "reference": "real images",
    "n": "n",
    "unit": "unit",
}
SPECTRUM = (
    "Log power: frequency zero in the middle, the Nyquist frequency at the edges, brighter is more; one scale for all."
)


def write_report(
    found: InvariantSet, path: Path, out: Path, cited: Sequence[str] = (), show: Show = lambda _done, _state: None
) -> Path:
    """Write the page, in one move.

    Args:
        found: a run with members.
        path: its folder, for what other commands left there.
        out: the file to write.
        cited: BibTeX entries of what the run used.
        show: is told how much is done, out of two for each member.

    Raises:
        RunFolderError: a file of the folder is damaged, or the page cannot be written.
    """
    page = render(found, path, cited, show)
    try:
        return write_atomically(out, page)
    except OSError as error:
        raise RunFolderError(
            f"The report cannot be written: {error.strerror or error}",
            given=out,
            expected="a file name in a folder where you may write",
            hint=f"equidiff report {path} --out report.html",
        ) from error


def render(found: InvariantSet, path: Path, cited: Sequence[str], show: Show) -> str:
    """The page as text."""
    metrics = read_metrics(path)
    methods = read_methods(path, found)
    keys = keys_of(found, realism(metrics, found))
    drawer = Drawer(found, methods)
    cards = drawer.cards(keys, show)
    query = drawer.query()
    command, note = again(found.info)
    title, subtitle = headline(found)
    others = [record for record in found.records if record.status != MEMBER]
    template = _environment().get_template("report.html.j2")
    return template.render(
        info=found.info,
        title=title,
        subtitle=subtitle,
        path=path,
        asked=_asked(found.info),
        query=query,
        keys=keys,
        cards=cards,
        data=_data(found, keys, query, cards),
        methods=methods,
        number_names=list(dict.fromkeys(name for method in methods for name in method.numbers)),
        charts=charts_of(found),
        tables=tables(metrics),
        others=[_other(record) for record in others],
        command=command,
        command_note=note,
        cited=cited,
        columns=columns,
        names=COLUMN_NAMES,
        warnings=warnings(metrics),
        absent=absent(metrics),
        css=_own("report.css"),
        script=_own("report.js"),
    )


def _own(name: str) -> Markup:
    """A file of ours, which goes into the page as it is."""
    return Markup((files("equidiff.analysis.report") / "templates" / name).read_text(encoding="utf-8"))


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("equidiff.analysis.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asked(info: RunInfo) -> list[tuple[str, str]]:
    """Settings of the run, and how it ended, as names and texts."""
    rows: list[tuple[str, str | None]] = [
        *info.specs,
        ("query", None if info.target.is_given else info.target.source),
        ("target", str(info.target)),
        ("tolerance", f"{info.tolerance:g} on the loss, a sum of squared differences"),
        ("budget", f"{info.budget:g} evaluations a sample"),
        ("search", info.search),
        ("seed", str(info.seed)),
        ("samples", f"{info.counts.asked} asked for, {info.counts.members} members"),
        ("status", info.status),
        ("device", f"{info.device}, {info.dtype}"),
        ("started", info.started),
        ("finished", info.finished),
    ]
    if info.evaluations is not None:
        rows.append(("cost", f"{info.evaluations:g} evaluations in all, {info.wall_s or 0:.0f} s"))
    return [(name, text) for name, text in rows if text is not None]


def _data(found: InvariantSet, keys: Sequence[Key], query: Card | None, cards: Sequence[Card]) -> dict[str, Any]:
    """What the page's script needs to know."""
    return {
        "what": "Picture" if is_image(found.samples) else "Point",
        "spectrum": SPECTRUM,
        "keys": [{"name": key.name, "label": key.label, "unit": key.unit} for key in keys],
        "query": None if query is None else query.data,
        "members": [card.data for card in cards],
    }


def _other(record: Record) -> dict[str, str]:
    return {
        "index": str(record.index),
        "status": record.status.replace("_", " "),
        "steps": str(record.steps),
        "evaluations": f"{record.evaluations:.1f}",
        "loss": "" if record.loss is None else f"{record.loss:.3g}",
        "value": f"{record.measurement[0]:.4g}" if record.measurement and len(record.measurement) == 1 else "",
        "error": record.error or "",
    }
