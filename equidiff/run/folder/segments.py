"""Segments: the tensors of some hundred samples that follow each other, written once, with a checksum.

Segment k of a run holds the samples from k * S on, where S is the `segment` of `run.json`: latents, samples and
measurements, and beside them the `index` of each row. Failed samples have no row.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from equidiff.folders.atomic import sync_folder, write_atomically
from equidiff.folders.tensors import utf8_path
from equidiff.run.folder.journal import unreadable
from equidiff.run.folder.layout import SEGMENTS, SUMS, segment_file, segment_name
from equidiff.run.packed import ROWS

INDEX = "index"
LINE = re.compile(rb"([0-9a-f]{64})  (\d{5,15})\.safetensors")  # of `sha256sum`


def write_segment(path: Path, number: int, rows: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Write a segment and its checksum; both are on the disk then.

    Args:
        path: the run folder.
        number: of the segment.
        rows: latents, samples and measurements of its samples, one row each, by index.

    Raises:
        RunFolderError: the rows are not of one shape.
        OSError: it cannot be written.
    """
    indices = sorted(rows)
    try:
        tensors = {name: torch.cat([rows[index][name] for index in indices]) for name in ROWS}
    except RuntimeError as error:
        raise unreadable(segment_file(path, number), f"its samples are not of one shape: {error}") from None
    data = save({INDEX: torch.tensor(indices), **tensors})
    write_atomically(segment_file(path, number), data)
    _add_sum(path, number, hashlib.sha256(data).hexdigest())


def read_sums(path: Path) -> dict[int, str]:
    """SHA-256 of each segment, by its number; lines that are damaged are left out."""
    file = path / SEGMENTS / SUMS
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError:
        return {}
    found = filter(None, map(LINE.fullmatch, lines))
    return {int(match[2]): match[1].decode() for match in found}


def write_sums(path: Path, sums: Mapping[int, str]) -> None:
    """Write the checksums of all segments, in their order, unless the file says so already."""
    file = path / SEGMENTS / SUMS
    content = "".join(f"{sums[number]}  {segment_name(number)}\n" for number in sorted(sums)).encode()
    if sums and not (file.exists() and file.read_bytes() == content):
        write_atomically(file, content)


def _add_sum(path: Path, number: int, digest: str) -> None:
    sums = read_sums(path)
    if number in sums:
        write_sums(path, sums | {number: digest})
        return
    file = path / SEGMENTS / SUMS
    is_new = not file.exists()
    with file.open("ab") as lines:
        lines.write(f"{digest}  {segment_name(number)}\n".encode())
        lines.flush()
        os.fsync(lines.fileno())
    if is_new:
        sync_folder(file.parent)


def digest_of(file: Path) -> str:
    """SHA-256 of a file.

    Raises:
        RunFolderError: it cannot be read.
    """
    found = hashlib.sha256()
    try:
        with file.open("rb") as content:
            while chunk := content.read(2**20):
                found.update(chunk)
    except OSError as error:
        raise unreadable(file, error) from error
    return found.hexdigest()


def read_indices(file: Path) -> list[int]:
    """Indices of the samples of a segment, in the order of its rows.

    Raises:
        RunFolderError: the file is damaged.
    """
    found = read_segment(file, (INDEX,), None)[INDEX].tolist()
    if sorted(set(found)) != found:
        raise unreadable(file, "its indices are not in order")
    return found


def read_segment(file: Path, names: Sequence[str], rows: Sequence[int] | None) -> dict[str, Tensor]:
    """Rows of a segment, copied: the file is closed, and may be replaced.

    Args:
        file: the segment.
        names: of the tensors.
        rows: positions in the segment; None for all.

    Raises:
        RunFolderError: the file is damaged.
    """
    found = {}
    try:
        with utf8_path(file) as path, safe_open(path, "pt") as tensors:
            length = tensors.get_slice(INDEX).get_shape()
            for name in names:
                tensor = tensors.get_tensor(name)
                if tensor.dtype != (torch.int64 if name == INDEX else torch.float32) or [*tensor.shape[:1]] != length:
                    raise unreadable(file, f"its tensor {name} is not that of a run")
                found[name] = tensor.clone() if rows is None else tensor[list(rows)]
    except (SafetensorError, OSError, ValueError, IndexError) as error:
        raise unreadable(file, error) from error
    return found
