"""JSON that strangers may have written: read within limits, so that no file costs much more than its own size.

This is the one place where JSON is parsed. With Python's parser alone, a text that is nested deeply ends in a
`RecursionError` here or in whoever uses it, and a number of hundreds of digits overflows in whoever computes with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST_BYTES = 64 * 2**20  # of a file that is read as a whole, and of a line
MOST_OF_SETTINGS = 4 * 2**20  # bytes of a file of settings, or an index: in memory, JSON takes up to 25 times its size
MOST_DEPTH = 32  # brackets within brackets
TOO_DEEP = f"nested more than {MOST_DEPTH} deep"
MOST_DIGITS = 20  # of a whole number: those of 64 bits


def read_json(path: Path, most: int = MOST_BYTES) -> Any:
    """The content of a JSON file; a byte order mark before it is ignored.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be read, or is no file.
        ValueError: it is not JSON in UTF-8, or exceeds a limit.
    """
    check_file(path)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most:,} bytes")
    return parse_json(content)


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, without their ends, which are line feeds and nothing else.

    Raises:
        OSError: it cannot be read, or is no file.
        ValueError: a line exceeds the limit.
    """
    check_file(path)
    with path.open("rb") as file:
        while line := file.readline(MOST_BYTES + 1):
            if len(line) > MOST_BYTES:
                raise ValueError(f"a line has more than {MOST_BYTES:,} bytes")
            yield line.rstrip(b"\n")


def parse_json(content: bytes | str) -> Any:
    """A value of JSON.

    Raises:
        ValueError: it is not JSON, or exceeds a limit.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES:,} bytes")
    text = content if isinstance(content, str) else content.decode("utf-8")
    try:
        value = json.loads(text.removeprefix("\ufeff"), parse_int=_whole_number)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if text.count("[") + text.count("{") > MOST_DEPTH and _is_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def check_file(path: Path) -> None:
    """Raise an `OSError` for what exists and is no file: a pipe or a device may never end."""
    if path.exists() and not path.is_file():
        raise OSError("it is not a file")


def _is_deep(value: Any) -> bool:
    """True where lists and objects lie in each other more than `MOST_DEPTH` deep."""
    level: list[Any] = [value]
    for _ in range(MOST_DEPTH):
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [value for values in inner for value in values if isinstance(value, (dict, list))]
        if not level:
            return False
    return True


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS + 1 or not -(2**63) <= (number := int(digits)) < 2**64:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return number
