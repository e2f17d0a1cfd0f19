"""Status words and times that output folders record, and the JSON file that describes a folder."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from equidiff.errors import RunFolderError
from equidiff.folders.json_files import read_json

RUNNING, COMPLETE, INTERRUPTED, RUN_FAILED = "running", "complete", "interrupted", "failed"


def read_description(
    file: Path,
    what: str,
    version: int | tuple[int, ...],
    needed: set[str],
    absent: RunFolderError,
    damaged: RunFolderError,
) -> dict[str, Any]:
    """Read the JSON file that describes a folder.

    Args:
        file: the JSON file.
        what: a noun for the folder, for the error about another version.
        version: the schema version, or versions, that this code reads.
        needed: keys that the file must have.
        absent: the error to raise if there is no such file.
        damaged: the error to raise if it cannot be read, or lacks a key.

    Raises:
        RunFolderError: one of these two, or an error about another schema version.
    """
    try:
        info = read_json(file)
    except (FileNotFoundError, NotADirectoryError):
        raise absent from None
    except (OSError, ValueError) as error:
        raise damaged from error
    found = info.get("schema_version") if isinstance(info, dict) else None
    readable = (version,) if isinstance(version, int) else version
    if found is not None and found not in readable:
        expected = " or ".join(filter(None, (", ".join(map(str, readable[:-1])), str(readable[-1]))))
        raise RunFolderError(f"This {what} is of another version.", given=f"schema_version {found}", expected=expected)
    if found is None or not info.keys() >= needed:
        raise damaged
    return info


def timestamp() -> str:
    """The time now, in UTC, to the second, in ISO format."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
