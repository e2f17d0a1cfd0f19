"""Finished samples on a disk that workers share with the process that writes the run folder.

A worker appends each sample as soon as it is finished, so that the writer has it at once, and that no sample is lost
with the worker, the writer, or both. Each call writes files of its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from equidiff.parallel.work import NEWS
from equidiff.run.folder.journal import append_frame, frame_end, read_frames

FOLDER = "workers"  # in the run folder
TOKEN = "token"  # a file, by whose content a worker knows the folder
INDEX_BYTES = 8  # before the packed sample; signed, as news have an index below all others


@dataclass(frozen=True)
class Address:
    """The place of a spool, for workers.

    Attributes:
        path: of the folder.
        token: the content of its file `token`.
    """

    path: str
    token: str

    def is_reachable(self) -> bool:
        """True where this process sees the same folder."""
        try:
            return (Path(self.path) / TOKEN).read_text(encoding="ascii") == self.token
        except OSError:
            return False


class Spool:
    """Reads what workers leave in a folder.

    Args:
        path: the folder, which is made.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self._path, self._read = path, dict[Path, int]()
        self.address = Address(str(path.absolute()), secrets.token_hex(16))
        (path / TOKEN).write_text(self.address.token, encoding="ascii")

    def arrived(self) -> Iterator[tuple[int, bytes]]:
        """Indices and packed samples, and news, that have come since the last time."""
        for file in sorted(self._path.glob("*.frames")):
            start = self._read.get(file, 0)
            if file.stat().st_size > start:
                for end, index, packed in _read(file, start):
                    self._read[file] = end
                    yield index, packed

    def remove(self) -> None:
        """Remove the folder: all that is in it has been taken over."""
        shutil.rmtree(self._path, ignore_errors=True)


class CallFile:
    """The file of one call in a spool.

    Args:
        address: of the spool.
        indices: that the call is asked for.
    """

    def __init__(self, address: Address, indices: Sequence[int]) -> None:
        self._folder, self._call = Path(address.path), f"{indices[0]:07d}-{len(indices)}"
        self._file = self._folder / f"{self._call}-{socket.gethostname()}-{os.getpid()}.frames"

    def append(self, index: int, packed: bytes) -> None:
        """Append a finished sample, or news."""
        append_frame(self._file, index.to_bytes(INDEX_BYTES, "little", signed=True) + packed)

    def finished(self) -> set[int]:
        """Samples that the same call has finished before, for a worker that was ended and goes on."""
        files = self._folder.glob(f"{self._call}-*.frames")
        return {index for file in files for _, index, _ in _read(file, 0)}


def left_behind(run: Path) -> Iterator[bytes]:
    """Packed samples that workers had finished and no writer has taken over, when a run was killed."""
    for file in sorted((run / FOLDER).glob("*.frames")):
        yield from (packed for _, index, packed in _read(file, 0) if index != NEWS)


def _read(file: Path, start: int) -> Iterator[tuple[int, int, bytes]]:
    """Ends, indices and packed samples of the whole frames from a place on."""
    for at, content in read_frames(file, start):
        index = int.from_bytes(content[:INDEX_BYTES], "little", signed=True)
        yield frame_end(at, content), index, content[INDEX_BYTES:]
