"""Paths inside specs that people type: a value that names a file needs no escapes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from urllib.parse import quote, unquote_to_bytes

START = re.compile(r"[:=]")  # of an argument or a value
END = re.compile(r"\s*(?:[,+:]|$)")
SPECIAL = re.compile(r"[%,+]")
RESERVED = re.compile(r"[%,+]|^\s+|\s+$|[\udc80-\udcff]")  # leading and trailing blanks would be lost to a parser

Exists = Callable[[str], bool]


def escape_paths(text: str, exists: Exists | None = None) -> str:
    """Write `%2C`, `%2B`, `%25` in the values of a spec that name a file or a folder which has such letters.

    The longest text that names one wins. A text with escapes is first read as it would be without this: where that
    names a file, nothing changes, so that a spec which was printed means the same.

    Args:
        text: a spec, or several with plus signs or commas between them.
        exists: tells whether a path exists; by default, on this machine's disk.
    """
    there = exists or _exists
    written, place = "", 0
    while SPECIAL.search(text, place) and (start := START.search(text, place)):
        end, path = _longest_path(text, start.end(), there)
        written += text[place : start.end()] + escape(path)
        place = end
    return written + text[place:]


def escape(text: str) -> str:
    """An argument or a value as a spec has it: in percent-encoding where it would be read as something else."""
    return RESERVED.sub(lambda found: quote(found[0], safe="", errors="surrogateescape"), text)


def unescape(text: str) -> str:
    """The argument or value that `escape` wrote."""
    return text if "%" not in text else unquote_to_bytes(os.fsencode(text)).decode("utf-8", "surrogateescape")


def _longest_path(text: str, start: int, exists: Exists) -> tuple[int, str]:
    """The end of the longest text from `start` on that names a path with special letters, and the path.

    Where there is none, the end is the start, and the path is empty.
    """
    for end in sorted({found.start() for found in END.finditer(text, start)}, reverse=True):
        value = text[start:end]
        if not SPECIAL.search(value):
            break
        path = next((each for each in (unescape(value), value) if exists(each)), None)
        if path is not None:
            return end, path
    return start, ""


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(os.path.expanduser(path))
    except ValueError:  # a null byte
        return False
