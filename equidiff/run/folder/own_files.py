"""Files of samples in a run folder, beside its tensors: images, sounds, and the query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from equidiff.contracts.sample_kind import SampleKind
from equidiff.folders.atomic import write_atomically
from equidiff.kinds.registry import kind_from
from equidiff.run.folder.layout import file_name
from equidiff.run.info import RunInfo


def write_query(path: Path, info: RunInfo, query: Tensor) -> None:
    """Write the query's file, where its kind has files."""
    kind = kind_from(info.kind, query.shape[1:])
    if kind.suffix is not None:
        write_atomically(path / f"query{kind.suffix}", lambda part: kind.write(part, query[0]))


def own_file(index: int, kind: SampleKind | None) -> dict[str, Any]:
    """Path of a sample's own file, as its record has it: under `image` or under `file`.

    Args:
        index: of the sample.
        kind: of the sample; None for one that gets no file.
    """
    name = None if kind is None or kind.suffix is None else file_name(index, kind.folder, kind.suffix)
    image = kind is not None and kind.is_image
    return {"image": name if image else None, "file": None if image else name}
