"""Command that reproduces a run."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from equidiff.folders.text import shell_command
from equidiff.run.info import RunInfo
from equidiff.run.settings import Settings


def reproduction_command(info: RunInfo) -> tuple[str | None, str]:
    """Command that reproduces a run, quoted for a shell, and a note about it; None if no command can.

    Every setting is named, even those left at their default, since a default may change.

    Args:
        info: the content of `run.json`.
    """
    for kind, spec in info.specs.objects.items():
        return None, f"The {kind} was an object made in Python ({spec}), so no command reproduces this run."
    words, note = ["equidiff", "run"], ""
    for source in info.plugin_files:
        words += ["--plugin", source]
    known = info.settings
    given_in_python = (info.options.query or "").endswith("given in Python")
    for name in [field.name for field in fields(Settings)]:
        if name == "query":
            if info.target.is_given or given_in_python:
                continue
            words += ["--query", str(info.options.query)]
        elif name == "target":
            if not info.target.is_given and not given_in_python:
                continue
            values = ",".join(repr(float(value)) for value in info.target.values)
            words.append(f"--target={values}")  # a value may begin with a minus sign
            if given_in_python:
                note = "The query was given in Python, so the command gives its value instead."
        elif known.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", _text(known[name])]
    return shell_command(words), note


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
