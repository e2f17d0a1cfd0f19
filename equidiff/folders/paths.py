"""Paths of output folders: free ones, and errors for those that cannot be used."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from equidiff.errors import RunFolderError
from equidiff.folders.text import shell_word

EXPECTED_OUT = "a folder that does not exist yet, in a place where you may write"
# all that is in the folder of a run that was killed before its `run.json` was there
OF_A_BEGINNING = frozenset({
    ".lock", ".owner.json", ".reserve", "images", "tensors", "partial", "query.png", "query.safetensors",
    "prior.safetensors", "members.jsonl", "steps.jsonl", "run.json.part", "query.wav", "sounds",
})  # fmt: skip


def check_free(path: Path, leftovers: frozenset[str] = frozenset()) -> None:
    """Raise an error unless a folder can be made at this path: it is readable, and nothing is there yet.

    Args:
        path: of the folder.
        leftovers: names of files that may be there and are replaced, and of folders that may be there if empty.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise unwritable(path, error) from error
    if not path.is_dir():
        raise RunFolderError("The output folder is a file.", given=path, expected=EXPECTED_OUT, hint="--out ./my-run")
    if leftovers and has_only(path, leftovers):
        return
    hint = f"--resume {shell_word(path)}" if (path / "run.json").exists() else "--out ./another-name"
    raise RunFolderError("The output folder exists already.", given=path, expected=EXPECTED_OUT, hint=hint)


def is_inside(name: str) -> bool:
    """True for a relative path that leads nowhere outside its folder, as those in files of strangers might."""
    parts = name.replace(os.sep, "/").split("/")
    return bool(name) and "\0" not in name and ".." not in parts and not Path(name).is_absolute()


def check_own(folder: Path) -> None:
    """Refuse a folder, perhaps of strangers, in which something leads out of it, or is no file that ends.

    What is read or written in it then stays in it. Links to the folder itself, and within it, are allowed.

    Raises:
        RunFolderError: there is such a link, a pipe or a device in it.
    """
    root, waiting = os.path.realpath(folder), [os.fspath(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:  # whoever reads it says why it cannot be read
            for entry in entries:
                if entry.is_symlink():
                    _check_link(entry, root)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif not entry.is_file(follow_symlinks=False):
                    raise RunFolderError(
                        "There is a pipe or a device in this folder.", given=entry.path, expected="files and folders"
                    )


def _check_link(link: os.DirEntry[str], root: str) -> None:
    place = os.path.realpath(link.path)
    if not Path(place).is_relative_to(root):
        raise RunFolderError(
            "A link in this folder leads out of it.",
            given=f"{link.path} -> {place}",
            expected="a folder that has its files itself",
            hint=f"cp -rL {shell_word(os.path.dirname(link.path))} ANOTHER   # if you trust what it leads to",
        )


def has_only(path: Path, leftovers: frozenset[str]) -> bool:
    """Tell whether a folder has nothing but files of these names, halves of them, and folders that are empty."""
    try:
        return all(
            not leftovers.isdisjoint({each.name, each.name.removesuffix(".part")}) and _is_spare(each)
            for each in path.iterdir()
        )
    except OSError:
        return False


def _is_spare(path: Path) -> bool:
    """True for a folder without files, and for a file without lines."""
    if path.is_symlink():
        return False
    return not any(path.iterdir()) if path.is_dir() else path.suffix != ".jsonl" or not path.stat().st_size


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
