"""Names of the files in a run folder, and the number of samples in a segment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from equidiff.search.blocks import BLOCK

MEMBERS, STEPS = "members.jsonl", "steps.jsonl"
QUERY, PRIOR = "query.safetensors", "prior.safetensors"
OLD_TENSORS = "tensors.safetensors"  # of schema versions 1 and 2: the rows of all samples, by position
SEGMENTS, SUMS = "tensors", "SHA256SUMS"
JOURNALS = "partial"
IMAGES = "images"
OF_QUERY = ("query", "query_latent")

MOST_ROWS = 256  # samples in a segment
SEGMENT_BYTES = 64 * 2**20  # in which they must fit, as far as whole blocks do
IN_A_FOLDER = 1000  # images


def rows_of_segment(shapes: Iterable[Sequence[int]]) -> int:
    """Samples in a segment: whole blocks, so that a part of a run fills segments of its own.

    Args:
        shapes: of a sample's tensors, without the batch axis.
    """
    size = 4 * sum(math.prod(shape) for shape in shapes)
    fitting = SEGMENT_BYTES // max(size, 1) // BLOCK * BLOCK
    return min(max(fitting, BLOCK), MOST_ROWS)


def segment_name(number: int) -> str:
    """File name of a segment."""
    return f"{number:05d}.safetensors"


def segment_file(path: Path, number: int) -> Path:
    """File of a segment of the run in this folder."""
    return path / SEGMENTS / segment_name(number)


def journal_file(path: Path, number: int) -> Path:
    """File of the finished samples of a segment that is not whole yet."""
    return path / JOURNALS / f"{number:05d}.journal"


def numbered(folder: Path, suffix: str) -> dict[int, Path]:
    """Segments or journals in a folder, by number and in their order; empty where there is no such folder."""
    files = sorted(folder.glob(f"*{suffix}"))
    return {int(file.stem): file for file in files if file.stem.isascii() and file.stem.isdigit()}


def file_name(index: int, folder: str, suffix: str) -> str:
    """Path of a sample's file inside the run folder; from index 1000 on in folders of a thousand.

    Args:
        index: of the sample.
        folder: of all files of the kind.
        suffix: of the file.
    """
    inner = f"{folder}/{index // IN_A_FOLDER:03d}" if index >= IN_A_FOLDER else folder
    return f"{inner}/{index:05d}{suffix}"
