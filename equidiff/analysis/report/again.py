"""The command that makes a run again."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import Any

from equidiff.registry.provenance import FROM_FILE
from equidiff.run.settings import Settings


def again(info: dict[str, Any]) -> tuple[str | None, str]:
    """The command, ready for a shell, and what must be known about it; None where no command can make it.

    Every setting is named, also those that were left at their default: a default may change.

    Args:
        info: the content of `run.json`.
    """
    for kind, spec in info["specs"].items():
        if spec.startswith("<"):
            return None, f"The {kind} was an object made in Python ({spec}), so no command makes this run again."
    words, note = ["equidiff", "run"], ""
    for source, version in info["versions"].items():
        if version == FROM_FILE:
            words += ["--plugin", source]
    known = {**info["options"], **info, **info["specs"]}
    given_in_python = str(info["options"].get("query", "")).endswith("given in Python")
    for name in [field.name for field in fields(Settings)]:
        if name == "query":
            if info["target"]["source"] == "--target" or given_in_python:
                continue
            words += ["--query", str(info["options"]["query"])]
        elif name == "target":
            if info["target"]["source"] != "--target" and not given_in_python:
                continue
            values = ",".join(repr(float(value)) for value in info["target"]["values"])
            words.append(f"--target={values}")  # a value may begin with a minus sign
            if given_in_python:
                note = "The query was given in Python, so the command names its value in its place."
        elif known.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", _text(known[name])]
    return shlex.join(words), note


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
