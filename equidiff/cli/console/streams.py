"""Standard streams that end no command: closed ones, full ones, and those that lack letters."""

from __future__ import annotations

import codecs
import logging
import os
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from equidiff.folders.text import printable

REPLACE = "equidiff.plain"  # the name under which codecs know `replace`
PLAIN = {
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{MIDDLE DOT}": "-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
}


class Stream:
    """A text stream whose writes never fail: the first error is kept, and all that follows is dropped.

    Args:
        stream: that is written to.

    Attributes:
        error: the reason why something could not be written; None where all was.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text."""
        with self._keeping_errors():
            self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        self.write("".join(lines))

    def write_bytes(self, content: bytes) -> None:
        """Write bytes as they are, behind all texts before them."""
        with self._keeping_errors():
            self._stream.flush()
            if hasattr(self._stream, "buffer"):
                self._stream.buffer.write(content)
            else:  # a text in memory
                self._stream.write(os.fsdecode(content))

    def flush(self) -> None:
        """Hand on all that was written."""
        with self._keeping_errors():
            self._stream.flush()

    @contextmanager
    def _keeping_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            _discard(self._stream)


@contextmanager
def safe_streams() -> Iterator[tuple[Stream, Stream]]:
    """Put streams that never fail in the places of stdout and stderr, and yield them."""
    _open_missing()
    codecs.register_error(REPLACE, replace)
    before = sys.stdout, sys.stderr
    for each in before:
        with suppress(AttributeError):  # a stream that a test or a notebook put there
            each.reconfigure(errors=REPLACE)  # pyrefly: ignore[missing-attribute]
    streams = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = streams
    try:
        with _printable_warnings():
            yield streams
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before


@contextmanager
def _printable_warnings() -> Iterator[None]:
    """Escape what libraries print through Python itself: they quote names and texts of files that strangers made."""
    plain, last = warnings.formatwarning, logging.lastResort

    def escaped(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        return printable(plain(message, category, filename, lineno, line))

    warnings.formatwarning = escaped
    logging.lastResort = _PrintableLog(logging.WARNING)
    try:
        yield
    finally:
        warnings.formatwarning, logging.lastResort = plain, last


class _PrintableLog(logging.Handler):
    """Log of libraries for which nobody has set up another."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(printable(self.format(record)) + "\n")


def replace(error: UnicodeError) -> tuple[str, int]:
    """Plain letters for those that an encoding lacks: "..." for an ellipsis, "e" for "é", an escape for others."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def is_narrow(stream: IO[str]) -> bool:
    """True for a stream that cannot take every letter, such as a terminal that is not UTF-8."""
    return not (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-").startswith("utf-")


def _plain(letter: str) -> str:
    if letter in PLAIN:
        return PLAIN[letter]
    shown = printable(letter)
    if shown != letter:
        return shown
    base = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return base or letter.encode("ascii", "backslashreplace").decode()


def _open_missing() -> None:
    """Open the standard streams that the program was started without, so that no file takes their numbers."""
    for number in range(3):
        if not _is_open(number):
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _discard(stream: IO[str]) -> None:
    """Send all that is still to come nowhere, or Python would fail again when it closes the stream at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
