"""The page: gather everything about a run, and fill the template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from equidiff.analysis.figures.captions import headline
from equidiff.analysis.report.charts import charts_of
from equidiff.analysis.report.members import Card, CardRenderer
from equidiff.analysis.report.reproduce import reproduction_command
from equidiff.analysis.report.results import absent, columns, read_methods, read_metrics, realism, tables, warnings
from equidiff.analysis.report.sort_keys import SortKey, sort_keys
from equidiff.errors import RunFolderError
from equidiff.folders.atomic import write_atomically
from equidiff.images.convert import is_image
from equidiff.run.info import RunInfo
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record
from equidiff.search.engine import MEMBER

Show = Callable[[int, str], None]
COLUMN_NAMES = {
    "value": "members",
    "interval": "95 % interval",
    "plain": "prior samples",
    "plain_interval": "95 % interval of prior",
    "reference": "real images",
    "n": "n",
    "unit": "unit",
}
SPECTRUM = (
    "Log power, brighter is more: frequency zero is in the middle, the Nyquist frequency at the edges. "
    "All spectra share one scale."
)


def write_report(
    found: InvariantSet, path: Path, out: Path, cited: Sequence[str] = (), show: Show = lambda _done, _state: None
) -> Path:
    """Write the page atomically.

    Args:
        found: a run with members.
        path: its folder, which may hold results of other commands.
        out: the file to write.
        cited: BibTeX entries of the components used.
        show: called with the progress, out of two for each member.

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
            expected="a file name in a folder with write permission",
            hint=f"equidiff report {path} --out report.html",
        ) from error


def render(found: InvariantSet, path: Path, cited: Sequence[str], show: Show) -> str:
    """Render the page as text."""
    metrics = read_metrics(path)
    methods = read_methods(path, found)
    keys = sort_keys(found, realism(metrics, found))
    renderer = CardRenderer(found, methods)
    cards = renderer.cards(keys, show)
    query = renderer.query()
    command, note = reproduction_command(found.info)
    title, subtitle = headline(found)
    others = [record for record in found.records if record.status != MEMBER]
    template = _environment().get_template("report.html.j2")
    return template.render(
        info=found.info,
        title=title,
        subtitle=subtitle,
        path=path,
        settings=_settings(found.info),
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
        css=_asset("report.css"),
        script=_asset("report.js"),
    )


def _asset(name: str) -> Markup:
    """Read a file of this package that goes into the page unescaped."""
    return Markup((files("equidiff.analysis.report") / "templates" / name).read_text(encoding="utf-8"))


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("equidiff.analysis.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _settings(info: RunInfo) -> list[tuple[str, str]]:
    """Settings of the run, and how it ended, as names and texts."""
    rows: list[tuple[str, str | None]] = [
        *info.specs,
        ("query", None if info.target.is_given else info.target.source),
        ("target", str(info.target)),
        ("tolerance", f"{info.tolerance:g} on the loss, a sum of squared differences"),
        ("budget", f"{info.budget:g} evaluations per sample"),
        ("search", info.search),
        ("seed", str(info.seed)),
        ("samples", f"{info.counts.asked} requested, {info.counts.members} members"),
        ("status", info.status),
        ("device", f"{info.device}, {info.dtype}"),
        ("started", info.started),
        ("finished", info.finished),
    ]
    if info.evaluations is not None:
        rows.append(("cost", f"{info.evaluations:g} evaluations in all, {info.wall_s or 0:.0f} s"))
    return [(name, text) for name, text in rows if text is not None]


def _data(found: InvariantSet, keys: Sequence[SortKey], query: Card | None, cards: Sequence[Card]) -> dict[str, Any]:
    """Data for the page's script."""
    return {
        "what": "Image" if is_image(found.samples) else "Point",
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
