"""Journals: packed samples, appended as they finish. A damaged one costs its own sample only.

A frame is a mark of four bytes, the length of the packed sample in eight and the CRC-32 of both in four, and the packed
sample. Behind damage the reader goes on at the next mark whose checksum is right.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from equidiff.errors import RunFolderError

MARK = b"\xe9qds"  # the first byte is none of ASCII, so no text has it
HEAD = struct.Struct("<4sQI")


def append_frame(file: Path, packed: bytes) -> None:
    """Append a packed sample in one write, without waiting for the disk.

    Raises:
        OSError: it cannot be written.
    """
    length = len(packed)
    head = HEAD.pack(MARK, length, _checksum(length, packed))
    with file.open("ab") as journal:
        journal.write(head + packed)


def read_frames(file: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Positions and contents of the whole frames of a journal.

    Args:
        file: the journal.
        start: position of the first frame to look at.

    Raises:
        RunFolderError: it cannot be read.
    """
    try:
        with file.open("rb") as journal:
            journal.seek(start)
            data = journal.read()  # a segment at most
    except OSError as error:
        raise unreadable(file, error) from error
    at = data.find(MARK)
    while at >= 0:
        packed = _frame(data, at)
        if packed is None:
            at = data.find(MARK, at + 1)
        else:
            yield start + at, packed
            at = data.find(MARK, at + HEAD.size + len(packed))


def frame_end(at: int, packed: bytes) -> int:
    """Position behind a frame."""
    return at + HEAD.size + len(packed)


def read_frame(file: Path, at: int) -> bytes:
    """The content of the frame at a position that `read_frames` gave.

    Raises:
        RunFolderError: it is not there any more.
    """
    try:
        with file.open("rb") as journal:
            journal.seek(at)
            head = journal.read(HEAD.size)
            length = HEAD.unpack(head)[1] if len(head) == HEAD.size else 0
            packed = _frame(head + journal.read(min(length, file.stat().st_size)), 0)
    except OSError as error:
        raise unreadable(file, error) from error
    if packed is None:
        raise unreadable(file, "it has changed")
    return packed


def unreadable(file: Path, why: object) -> RunFolderError:
    """The error for a file of a run folder that cannot be read."""
    reason = getattr(why, "strerror", None) or why
    return RunFolderError(f"A file of this run cannot be read: {reason}", given=file)


def _frame(data: bytes, at: int) -> bytes | None:
    if len(data) < at + HEAD.size:
        return None
    mark, length, checksum = HEAD.unpack_from(data, at)
    packed = data[at + HEAD.size : at + HEAD.size + length]
    whole = mark == MARK and len(packed) == length and _checksum(length, packed) == checksum
    return packed if whole else None


def _checksum(length: int, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(length.to_bytes(8, "little")))
