"""Output folders of commands: free paths, atomic writes, status words, and the JSON file that describes a folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equidiff.errors import RunFolderError

if TYPE_CHECKING:
    from PIL.Image import Image

RUNNING, COMPLETE, INTERRUPTED, RUN_FAILED = "running", "complete", "interrupted", "failed"
EXPECTED_OUT = "a folder that does not exist yet, in a place where you may write"


def read_description(
    file: Path, what: str, version: int, needed: set[str], absent: RunFolderError, damaged: RunFolderError
) -> dict[str, Any]:
    """Read the JSON file that describes a folder.

    Args:
        file: the JSON file.
        what: a noun for the folder, for the error about another version.
        version: the schema version that this code reads.
        needed: keys that the file must have.
        absent: the error to raise if there is no such file.
        damaged: the error to raise if it cannot be read, or lacks a key.

    Raises:
        RunFolderError: one of these two, or an error about another schema version.
    """
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise absent from None
    except (OSError, ValueError) as error:
        raise damaged from error
    found = info.get("schema_version") if isinstance(info, dict) else None
    if found is not None and found != version:
        raise RunFolderError(f"This {what} is of another version.", given=f"schema_version {found}", expected=version)
    if found is None or not info.keys() >= needed:
        raise damaged
    return info


def write_atomically(path: Path, content: str | bytes | Callable[[Path], object]) -> Path:
    """Write a file or a folder in one move, so that nobody ever sees half of it.

    An earlier file stays until the new one is whole; an earlier folder is removed just before the new one takes its
    place. Nothing else is left behind when writing fails.

    Args:
        path: the file or folder to write, in a folder that exists.
        content: text, bytes, or a function that writes a file, or makes a folder, at the path that it is given.

    Returns:
        The path.

    Raises:
        OSError: it cannot be written; whatever else the function raises comes through too.
    """
    temporary = path.with_name(path.name + ".part")
    _remove(temporary)  # the rest of a process that was killed
    try:
        if isinstance(content, str):
            temporary.write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            temporary.write_bytes(content)
        else:
            content(temporary)
        if temporary.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        return temporary.replace(path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink()


def write_image(path: Path, image: Image) -> Path:
    """Write a PNG file in one move, and return its path."""
    return write_atomically(path, lambda part: image.save(part, format="png"))


def timestamp() -> str:
    """The time now, in UTC, to the second, in ISO format."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def check_free(path: Path) -> None:
    """Raise an error unless a folder can be made at this path: it is readable, and nothing is there yet."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise unwritable(path, error) from error
    if not path.is_dir():
        raise RunFolderError("The output folder is a file.", given=path, expected=EXPECTED_OUT, hint="--out ./my-run")
    hint = f"--resume {path}" if (path / "run.json").exists() else "--out ./another-name"
    raise RunFolderError("The output folder exists already.", given=path, expected=EXPECTED_OUT, hint=hint)


def unwritable(path: Path, error: OSError) -> RunFolderError:
    """The error for a run folder that the system refuses to write."""
    reason = error.strerror or str(error)
    return RunFolderError(
        f"The run folder cannot be written: {reason}", given=path, expected=EXPECTED_OUT, hint="--out ./my-run"
    )


def free_path(generator: str, objective: str, parent: Path = Path("runs")) -> Path:
    """A path `runs/<UTC timestamp>-<generator>-<objective>` that is safe as a file name and not taken."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{generator}-{objective}").strip("-.")
    stem = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{words[:80]}"
    path, number = parent / stem, 1
    while path.exists():
        number += 1
        path = parent / f"{stem}-{number}"
    return path
