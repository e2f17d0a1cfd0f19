"""Files and folders that are written in one move, so that nobody ever sees half of one, not even after a power cut."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def write_atomically(path: Path, content: str | bytes | Callable[[Path], object]) -> Path:
    """Write a file or a folder in one move, so that nobody ever sees half of it; on the disk when this returns.

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
            _sync_tree(temporary)
            shutil.rmtree(path, ignore_errors=True)
        else:
            sync_file(temporary)
        temporary.replace(path)
        sync_folder(path.parent)
        return path
    finally:
        _remove(temporary)


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk; its name is in the folder, see `sync_folder`."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk; Windows and some network drives have no way to."""
    if os.name == "nt":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(folder)


def _sync_tree(path: Path) -> None:
    for folder, _, files in os.walk(path, topdown=False):
        for name in files:
            sync_file(Path(folder, name))
        sync_folder(Path(folder))


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink()


def write_image(path: Path, image: Image) -> Path:
    """Write a PNG file in one move, and return its path."""
    return write_atomically(path, lambda part: image.save(part, format="png"))
