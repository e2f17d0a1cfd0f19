"""Text that holds names of files: shown, quoted for a shell, and written as JSON.

A file name on Linux is a row of bytes. Python reads bytes that are not UTF-8 as lone surrogates (`surrogateescape`),
which no UTF-8 file and no terminal can take.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from typing import Any

FIRST_BYTE, LAST_BYTE = 0xDC80, 0xDCFF  # surrogates that stand for the bytes from 0x80 to 0xFF
SURROGATE = re.compile("[\ud800-\udfff]")
# other line ends than the line feed, and marks that turn the direction of the text around them
DISORDER = "\u2028\u2029\u202a-\u202e\u2066-\u2069"
HIDDEN = re.compile(f"[\ud800-\udfff\x00-\x08\x0b-\x1f\x7f-\x9f{DISORDER}]")  # all but text: line feeds and tabs are
LINE_END = re.compile("[\x85\u2028\u2029]")  # those that JSON does not escape itself
NOT_PLAIN = re.compile(f"[\ud800-\udfff\x00-\x1f\x7f-\x9f{DISORDER}]")


def printable(text: str) -> str:
    r"""A text as people can read it: bytes that are not UTF-8, and control characters, are written `\xe8`."""
    return HIDDEN.sub(_escaped, text)


def printable_json(text: str) -> str:
    r"""A text of JSON in which characters that are not printable are escaped, as JSON has it: `\u009b`."""
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shell_command(words: Iterable[str]) -> str:
    r"""A command ready for a shell, in letters that any terminal can show: `equidiff report $'z\xe8bre'`."""
    return " ".join(map(shell_word, words))


def shell_word(word: object) -> str:
    """One word of a command, quoted where a shell needs it."""
    text = str(word)
    if not NOT_PLAIN.search(text):
        return shlex.quote(text)
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    # a hexadecimal digit after an escape of two digits is not a part of it, in bash and zsh
    return f"$'{NOT_PLAIN.sub(_escaped, quoted)}'"


def to_json(value: Any, indent: int | None = None, allow_nan: bool = True) -> str:
    """JSON in UTF-8, in which a name that is not UTF-8 is escaped, and reads back as the same name.

    So is what ends a line for some readers: without an indent, it is one line for all of them.
    """
    written = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=allow_nan)
    return LINE_END.sub(lambda found: f"\\u{ord(found[0]):04x}", escape_surrogates(written))


def escape_surrogates(text: str) -> str:
    r"""A text that UTF-8 can hold: `\udce8` for a lone surrogate, as JSON and Python write it."""
    return SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if FIRST_BYTE <= code <= LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
