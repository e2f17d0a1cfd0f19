"""The nearest real image of each member, as `equidiff evaluate --reference` found it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equidiff.analysis.report.data_uris import thumbnail_uri
from equidiff.analysis.report.results import items, text_of
from equidiff.errors import QueryError
from equidiff.images.read import read_image


@dataclass(frozen=True)
class Nearest:
    """A real image.

    Attributes:
        data: for the page's script: the image, its name and its distance.
    """

    data: dict[str, Any]


def read_nearest(path: Path, metrics: dict[str, Any], shown: Collection[int]) -> dict[int, Nearest]:
    """Nearest real images by index of the member; none where no reference folder was given.

    Args:
        path: the run folder.
        metrics: the content of its `metrics.json`.
        shown: indices of the members on the page.
    """
    each = dict(items(metrics.get("per_member")))
    columns = [each.get(name) for name in ("index", "nearest", "neighbour_distance")]
    if not all(isinstance(column, list) for column in columns):
        return {}
    found = {}
    for index, name, distance in zip(*columns, strict=False):
        # the name of the file comes from its index, never from the text of another file
        if not isinstance(index, int) or index not in shown or name is None:
            continue
        try:
            image = read_image(path / "nearest" / f"{index:05d}.png")
        except QueryError:
            continue  # it was moved or deleted: the page goes without
        found[index] = Nearest({"image": thumbnail_uri(image), "name": text_of(name), "distance": text_of(distance)})
    return found
