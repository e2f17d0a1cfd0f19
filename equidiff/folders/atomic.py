"""Files and folders that are written in one move, so that nobody ever sees half of one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


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
