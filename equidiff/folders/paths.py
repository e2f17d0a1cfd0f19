"""Paths of output folders: free ones, and errors for those that cannot be used."""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from pathlib import Path

from equidiff.errors import RunFolderError
from equidiff.folders.text import shell_word

EXPECTED_OUT = "a folder that does not exist yet, in a place where you may write"


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
    hint = f"--resume {shell_word(path)}" if (path / "run.json").exists() else "--out ./another-name"
    raise RunFolderError("The output folder exists already.", given=path, expected=EXPECTED_OUT, hint=hint)


def is_inside(name: str) -> bool:
    """True for a relative path that leads nowhere outside its folder, as those in files of strangers might."""
    parts = name.replace(os.sep, "/").split("/")
    return bool(name) and "\0" not in name and ".." not in parts and not Path(name).is_absolute()


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
