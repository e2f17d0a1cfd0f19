"""Results of other commands in the run folder: `metrics.json` and `attributions/`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from equidiff.errors import RunFolderError
from equidiff.folders.status import read_description
from equidiff.folders.tensors import read_tensors
from equidiff.run.invariant_set import InvariantSet

METRICS = "metrics.json"
ATTRIBUTIONS = "attributions/attributions.json"
VERSION = 1
SHOWN_DIGITS = 4
MOST_SHOWN = 8  # of a list


COLUMNS = ("value", "interval", "plain", "plain_interval", "reference", "n", "unit")


@dataclass(frozen=True)
class Row:
    """One metric: its name, and its entries in the file as text, by column."""

    name: str
    cells: dict[str, str]


@dataclass(frozen=True)
class Method:
    """One attribution method.

    Attributes:
        spec: its spec, which is also its name.
        status: its status, with the reason if it has no maps.
        query: `[1, height, width]`, its map of the query, if it has one.
        members: its maps `[height, width]`, by index of the member; a comparison may cover only the first members.
        numbers: its numbers, as text.
    """

    spec: str
    status: str
    query: Tensor | None = None
    members: dict[int, Tensor] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)


def read_metrics(path: Path) -> dict[str, Any]:
    """Read `metrics.json`; empty if `equidiff evaluate` was not run.

    Raises:
        RunFolderError: it is damaged, or of another version.
    """
    return _read(path, METRICS, "metrics.json", "evaluate", {"groups"})


def tables(metrics: dict[str, Any]) -> dict[str, list[Row]]:
    """Tables of metrics, one for each group that has any."""
    found = {name.replace("_", " "): _unrepeated(_rows(group, "")) for name, group in items(metrics.get("groups"))}
    return {name: rows for name, rows in found.items() if rows}


def _unrepeated(rows: Iterable[Row]) -> list[Row]:
    """Leave out rows whose numbers are all those of a row before: of one output, every norm is the same."""
    kept: dict[tuple[str, ...], Row] = {}
    for row in rows:
        kept.setdefault(tuple(row.cells.values()), row)
    return list(kept.values())


def columns(rows: list[Row]) -> list[str]:
    """Names of the columns that a table needs."""
    return [name for name in COLUMNS if any(row.cells.get(name) for row in rows)]


def absent(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Metrics that could not be measured, with the reasons."""
    return [(name.replace("_", " "), text_of(why)) for name, why in items(metrics.get("absent"))]


def warnings(metrics: dict[str, Any]) -> list[str]:
    """Cautions for whoever reads the numbers."""
    found = metrics.get("warnings")
    return [text_of(each) for each in found] if isinstance(found, list) else []


def realism(metrics: dict[str, Any], found: InvariantSet) -> list[float | None]:
    """Realism percentile of each member; all None if it was not measured."""
    each = dict(items(metrics.get("per_member")))
    indices, values = each.get("index"), each.get("percentile")
    if not isinstance(indices, list) or not isinstance(values, list):
        return [None] * len(found)
    known = {index: value for index, value in zip(indices, values, strict=False) if isinstance(value, int | float)}
    return [known.get(record.index) for record in found.members]


def items(value: Any) -> list[tuple[str, Any]]:
    """Entries of a JSON object; none for anything else."""
    return [(str(name), inner) for name, inner in value.items()] if isinstance(value, dict) else []


def _rows(group: Any, prefix: str) -> Iterator[Row]:
    """Yield the leaves of nested objects: those with a `value`, and bare numbers and texts."""
    if isinstance(group, dict) and "value" in group:
        known = {name: text_of(group.get(name)) for name in COLUMNS}
        for name in ("interval", "plain_interval"):
            if isinstance(group.get(name), list):
                known[name] = " to ".join(map(text_of, group[name]))
        yield Row(text_of(group.get("label")) or prefix, known)
    elif isinstance(group, dict):
        for name, inner in items(group):
            yield from _rows(inner, f"{prefix}: {name}".removeprefix(": ").replace("_", " "))
    elif isinstance(group, str | int | float):
        yield Row(prefix, {"value": text_of(group)})


def text_of(value: Any) -> str:
    """Format a value of a JSON file for people; null becomes an empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.{SHOWN_DIGITS}g}" if math.isfinite(value) else str(value)
    if isinstance(value, list):
        shown = ", ".join(text_of(each) for each in value[:MOST_SHOWN])
        return shown + (", …" if len(value) > MOST_SHOWN else "")
    if isinstance(value, dict):
        return text_of(value["value"]) if "value" in value else ", ".join(f"{k} {text_of(v)}" for k, v in value.items())
    return str(value)


def read_methods(path: Path, found: InvariantSet) -> list[Method]:
    """Read the attribution methods that `equidiff compare` ran, with their maps; none if it was not run.

    Args:
        path: the run folder.
        found: the run; if the file does not list the members, the maps are of all of them.

    Raises:
        RunFolderError: a file is damaged, or of another version.
    """
    about = _read(path, ATTRIBUTIONS, "attributions folder", "compare", {"methods"})
    indices = about.get("members")
    if not isinstance(indices, list):
        indices = [record.index for record in found.members]
    return [_method(path, each, indices) for each in about.get("methods", []) if isinstance(each, dict)]


def _method(path: Path, about: dict[str, Any], indices: list[int]) -> Method:
    spec = text_of(about.get("spec") or about.get("name") or "?")
    texts = [
        text_of(about.get("status") or "?").replace("_", " "),
        text_of(about.get("reason")),
        text_of(about.get("notes")),
    ]
    method = Method(spec, ": ".join(filter(None, texts)), numbers=_numbers(about.get("numbers")))
    if not about.get("file"):
        return method
    # the name comes from a file that others may have written: it must not lead outside its folder
    file = path / "attributions" / Path(str(about["file"])).name
    try:
        maps = read_tensors(file)
        query, members = maps.get("query"), maps["members"]
    except (SafetensorError, OSError, KeyError) as error:
        raise damaged(file, "compare") from error
    if members.ndim != 3 or len(members) != len(indices):
        raise damaged(file, "compare")
    return replace(method, query=query, members=dict(zip(indices, members, strict=True)))


def _numbers(numbers: Any) -> dict[str, str]:
    """Format numbers, with the spread of those that are means over several draws."""
    spreads = dict(items(dict(items(numbers)).get("spread")))
    return {
        name.replace("_", " "): text_of(value) + (f" ± {text_of(spreads[name])}" if name in spreads else "")
        for name, value in items(numbers)
        if name != "spread" and value is not None
    }


def _read(path: Path, name: str, what: str, command: str, needed: set[str]) -> dict[str, Any]:
    file = path / name
    if not file.exists():
        return {}
    error = damaged(file, command)
    return read_description(file, what, VERSION, needed, error, error)


def damaged(file: Path, command: str) -> RunFolderError:
    """The error for a file that another command wrote, and that cannot be read."""
    return RunFolderError(
        "This file of the run folder cannot be read, or does not fit the run.",
        given=file,
        expected=f"the file as equidiff {command} writes it",
        hint=f"equidiff {command} RUN   # rewrites it",
    )
