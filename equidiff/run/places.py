"""Folders in which the relative paths of a run are looked for, when it is opened from another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from equidiff.errors import EquiDiffError
from equidiff.registry.specs import Spec, parse_sum, print_sum
from equidiff.run.info import RunInfo, Specs
from equidiff.run.settings import Settings

T = TypeVar("T")


def folders_of(info: RunInfo, run: Path | None) -> list[Path]:
    """The folder in which the run was begun, this one, and the first one's new place where all was moved together.

    Args:
        info: of the run.
        run: its folder, where it has one.
    """
    folders = [Path.cwd()]
    if info.folder is not None:
        folders.insert(0, Path(info.folder))
        if info.run_folder is not None and run is not None:
            folders.append(Path(os.path.normpath(run.resolve() / os.path.relpath(info.folder, info.run_folder))))
    return list(dict.fromkeys(folders))


def build_where_it_was(settings: Settings, info: RunInfo, run: Path | None, build: Callable[[Settings], T]) -> T:
    """Build the components of a run, with the relative paths of its specs found again.

    Args:
        settings: of the run, with paths as they were typed.
        info: of the run.
        run: its folder, where it has one.
        build: builds from settings.

    Raises:
        EquiDiffError: as `build` raises it, with the folders that were searched.
    """
    folders = folders_of(info, run)
    typed: dict[str, Any] = {kind: getattr(settings, kind) for kind in Specs.model_fields}
    specs = {kind: spec for kind, spec in typed.items() if isinstance(spec, str)}
    found: dict[str, Any] = typed | {kind: _located(spec, folders) for kind, spec in specs.items()}
    try:
        return build(replace(settings, **found))
    except EquiDiffError as error:
        if found != typed:
            try:  # a word, which happens to name a file as well
                return build(settings)
            except EquiDiffError:
                pass
        if any(map(_has_paths, specs.values())):
            places = ", ".join(map(str, folders))
            error.expected = f"{error.expected or 'the files that the run began with'}; searched in: {places}"
        raise


def _located(text: str, folders: Sequence[Path]) -> str:
    """A spec, or a sum of several, with each relative path that is in one of the folders made absolute."""
    if text.startswith("<"):
        return text
    terms = [(weight, _with_paths(spec, folders)) for weight, spec in parse_sum(text)]
    return print_sum(terms)


def _with_paths(spec: Spec, folders: Sequence[Path]) -> Spec:
    options = {key: _find(value, folders) for key, value in spec.options.items()}
    argument = spec.argument
    if argument is not None:
        place, colon, function = argument.rpartition(":")  # ./file.py:function
        found = _find(place, folders) if colon else place
        argument = f"{found}:{function}" if found != place else _find(argument, folders)
    return Spec(spec.name, argument, options)


def _find(value: str, folders: Sequence[Path]) -> str:
    if not value or os.path.isabs(value) or value.startswith("~"):
        return value
    return next((str(folder / value) for folder in folders if (folder / value).exists()), value)


def _has_paths(text: str) -> bool:
    if text.startswith("<"):
        return False
    values = [value for _, spec in parse_sum(text) for value in (spec.argument or "", *spec.options.values())]
    return any("/" in value or os.sep in value or Path(value).suffix[1:].isalpha() for value in values)
