"""What is known about one unit of a layer: a line of `units.jsonl`."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class TopImage:
    """One of a unit's strongest images: its path in the folder of images, its activation, and its label."""

    image: str
    activation: float
    label: str | None = None


@dataclass(frozen=True)
class Unit:
    """A line of `units.jsonl`. What was not measured is None, and absent from the file.

    Attributes:
        index: which unit of the layer.
        spec: the objective that asks about it.
        mean: mean activation.
        max: strongest activation.
        active: share of images with an activation above zero.
        sparsity: 0 where all images activate it alike, 1 where one alone does; see `Statistics`.
        top: its strongest images, the strongest first.
        best_class: the class with the highest mean activation.
        selectivity: how much more it answers to that class than to the others, from 0 to 1; see `selectivity`.
        entropy: of the classes of its strongest images, in bits; see `entropy`.
        concept: the concept that its strongest images are nearest to.
        alignment: the cosine between the two, from -1 to 1; see `align`.
        clarity: how alike its strongest images are, 1 where they are the same; see `align`.
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
        """One line of `units.jsonl`."""
        known = {name: value for name, value in vars(self).items() if value is not None and name != "top"}
        top = [{name: value for name, value in vars(image).items() if value is not None} for image in self.top]
        return json.dumps({**known, "top": top}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Unit:
        """Read a line of `units.jsonl`."""
        values = json.loads(text)
        top = tuple(TopImage(**image) for image in values.pop("top"))
        return cls(top=top, **values)
