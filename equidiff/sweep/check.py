"""A sweep checked as a whole before anything starts: settings, specs and files, each distinct value once.

Nothing heavy is imported here, so that a mistake in the last of a thousand runs is found at once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from equidiff.errors import EquiDiffError, QueryError, UsageError, check_one_of, nearest
from equidiff.registry.check import check_text
from equidiff.registry.manager import Plugins
from equidiff.registry.published import check_published
from equidiff.registry.specs import Spec, parse_sum
from equidiff.run.image_files import ImageFiles
from equidiff.run.info import Specs, is_custom
from equidiff.run.settings import Settings, is_percentile, parse_percentile
from equidiff.sweep.document import Document
from equidiff.sweep.plan import Combination, placed
from equidiff.sweep.table import Row

TYPES = {field.name: str(field.type) for field in fields(Settings)}
IMAGES = "images"  # an option of `equidiff run` that is no setting of the search
SETTINGS = [*TYPES, IMAGES]
RUN_CODE = "--run-code"


def check_runs(document: Document, runs: Iterable[Combination], plugins: Plugins, run_code: bool) -> None:
    """Check every run as far as that needs no model.

    Args:
        document: the file, for the places of its values.
        runs: all of them.
        plugins: where specs are looked up.
        run_code: the user allows code that the file names.

    Raises:
        EquiDiffError: a value cannot be used; the message says on which line it stands.
    """
    done: set[tuple[str, str]] = set()
    for run in runs:
        for name, value in run.values.items():
            if (name, value.text) not in done:
                done.add((name, value.text))
                try:
                    _check(plugins, name, value.text, run_code)
                except EquiDiffError as error:
                    raise placed(document, name, value, error) from None
    _check_downloads(plugins, done)


def check_rows(rows: Iterable[Row], plugins: Plugins, run_code: bool) -> None:
    """Check the runs of a table, likewise: its folder may be somebody else's.

    Args:
        rows: of the table.
        plugins: where specs are looked up.
        run_code: the user allows code that the table names.

    Raises:
        EquiDiffError: a value cannot be used; the message says of which run.
    """
    values = {(name, text): row.name for row in rows for name, text in row.settings.items()}
    for (name, text), run in values.items():
        check_one_of("setting", name, SETTINGS)
        try:
            _check(plugins, name, text, run_code)
        except EquiDiffError as error:
            error.given = f"{run}: {name}: {text}"
            raise
    _check_downloads(plugins, values)


def to_settings(texts: Mapping[str, str]) -> Settings:
    """The settings of a run, from texts as the command line takes them.

    Raises:
        UsageError: one of them cannot be used.
    """
    return Settings(**{name: _convert(name, text) for name, text in texts.items() if name != IMAGES})


def _check(plugins: Plugins, name: str, text: str, run_code: bool) -> None:
    to_settings({name: text})
    if name in Specs.model_fields:
        check_text(plugins, name, text)
    if name == "objective" and is_custom(text):
        _check_code(text, run_code)
    if name == IMAGES:
        ImageFiles.parse(text)
    if name == "query":
        _check_query(text)
    if name == "target":
        _check_target(text)


def _convert(name: str, text: str) -> Any:
    wanted = TYPES[name]
    try:
        if wanted.startswith("int"):
            return int(text)
        if wanted.startswith("float") and "str" not in wanted:
            return float(text)
    except ValueError:
        expected = "an integer" if wanted.startswith("int") else "a number"
        raise UsageError(f"The value of {name} cannot be used.", given=text, expected=expected) from None
    return text


def _check_code(text: str, run_code: bool) -> None:
    if not run_code:
        raise UsageError(
            "This sweep names code that is not part of EquiDiff or of a plugin, and would be executed.",
            given=text,
            expected="permission, if you trust it",
            hint=f"equidiff sweep {RUN_CODE} with the same arguments",
        )
    for _, spec in parse_sum(text):
        place = (spec.argument or "").rpartition(":")[0]
        if spec.name == "custom" and place.endswith(".py") and not Path(place).is_file():
            raise UsageError("The file does not exist.", given=place, expected="a Python file")


def _check_query(text: str) -> None:
    """Refuse a query that is no index, no prior sample, and no file or folder that exists."""
    text = text.strip()
    kind, colon, rest = text.partition(":")
    if text.lstrip("-").isdecimal() or text == "prior" or (kind == "prior" and rest.isdecimal()):
        return
    path = os.path.expanduser(rest if kind == "top" and colon else text)
    if kind == "top" and colon and not os.path.isdir(path):
        raise QueryError("The folder does not exist.", given=text, expected="top:FOLDER, a folder of images")
    if not os.path.exists(path):
        near = _neighbours(Path(path))
        raise QueryError(
            "The query does not exist.",
            given=text,
            expected="an image file, a pattern such as photos/*.jpg, an index, top:FOLDER or prior",
            similar=near,
        )


def _neighbours(path: Path) -> list[str]:
    try:
        names = [str(path.parent / each.name) for each in path.parent.iterdir()]
    except OSError:
        return []
    return nearest(str(path), names)


def _check_target(text: str) -> None:
    if is_percentile(text):
        parse_percentile(text)
        return
    try:
        good = all(math.isfinite(float(part)) for part in text.split(","))
    except ValueError:
        good = False
    if not good:
        raise UsageError(
            "This target cannot be used.",
            given=text,
            expected="a number, or p90 for the 90th percentile of prior samples",
            hint="target: 1.5",
        )


def _check_downloads(plugins: Plugins, values: Iterable[tuple[str, str]]) -> None:
    """Refuse files of a hub that are not here and cannot be fetched; units of one model need the same files."""
    distinct: dict[tuple[str, ...], tuple[str, str]] = {}
    for kind, text in values:
        if kind in {"generator", "objective"}:
            for _, spec in parse_sum(text) if kind == "objective" else [(1.0, Spec.parse(text))]:
                distinct[kind, spec.name, str(spec.options)] = (kind, str(spec))
    for kind, text in distinct.values():
        check_published(plugins, {kind: text})
