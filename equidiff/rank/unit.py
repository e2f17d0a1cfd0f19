"""Record of one unit of a layer: a line of `units.jsonl`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from equidiff.folders.text import to_json


@dataclass(frozen=True)
class TopImage:
    """One of a unit's strongest images: its path in the folder of images, its activation and its label."""

    image: str
    activation: float
    label: str | None = None


@dataclass(frozen=True)
class Unit:
    """Record of one unit. A value that was not measured is None, and absent from the file.

    Attributes:
        index: index of the unit in the layer.
        spec: spec of the objective that measures it.
        mean: mean activation.
        max: strongest activation.
        active: fraction of images with an activation above zero.
        sparsity: 0 if all images activate it equally, 1 if only one does; see `Statistics`.
        top: its strongest images, strongest first.
        best_class: the class with the highest mean activation.
        selectivity: excess of its response to that class over the others, from 0 to 1; see `selectivity`.
        entropy: entropy of the classes of its strongest images, in bits; see `entropy`.
        concept: the concept nearest to its strongest images.
        alignment: cosine between the two, from -1 to 1; see `align`.
        clarity: similarity of its strongest images, 1 if they are the same; see `align`.
    """

    index: int
    spec: str
    mean: float
    max: float
    active: float
    sparsity: float
    top: tuple[TopImage, ...]
    best_class: str | None = None
    selectivity: float | None = None
    entropy: float | None = None
    concept: str | None = None
    alignment: float | None = None
    clarity: float | None = None

    def to_json(self) -> str:
        """Write the unit as a line of `units.jsonl`."""
        known = {name: value for name, value in vars(self).items() if value is not None and name != "top"}
        top = [{name: value for name, value in vars(image).items() if value is not None} for image in self.top]
        return to_json({**known, "top": top})

    @classmethod
    def from_json(cls, text: str) -> Unit:
        """Read a unit from a line of `units.jsonl`."""
        values = json.loads(text)
        top = tuple(TopImage(**image) for image in values.pop("top"))
        return cls(top=top, **values)
