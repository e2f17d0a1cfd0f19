"""Contact sheets of runs that are written where no model is loaded: of merged runs, and of those of a sweep."""

from __future__ import annotations

from pathlib import Path

from equidiff.analysis.figures.grid import MOST, draw_contact_sheet
from equidiff.contracts.sample_kind import CONTOUR
from equidiff.folders.atomic import write_image
from equidiff.run.finished import load_first_members
from equidiff.run.folder import iter_records
from equidiff.run.info import RunInfo
from equidiff.run.summary import Summary


def draw_images(path: Path, info: RunInfo, summary: Summary | None = None) -> Path | None:
    """Draw the contact sheet; None for points of a plane: their contour plot needs the network.

    Args:
        path: the run folder.
        info: the content of its `run.json`.
        summary: of its samples, where it is known.
    """
    if not info.counts.members:
        return None
    found = load_first_members(path, info, MOST)
    if found.kind.overview(found.sample_shape) == CONTOUR:
        return None
    whole = summary or Summary.of(info, iter_records(path))
    image = draw_contact_sheet(found, lambda samples: samples, whole=whole)
    return None if image is None else write_image(path / "grid.png", image)
