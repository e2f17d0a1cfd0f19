"""Record of one unit of a layer: a line of `units.jsonl`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter

from equidiff.folders.json_files import parse_json
from equidiff.folders.paths import is_inside
from equidiff.folders.text import to_json

Finite = Annotated[float, Field(allow_inf_nan=False)]


def _checked(name: str) -> str:
    if not is_inside(name):
        raise ValueError("a path outside the folder of images")
    return name


@dataclass(frozen=True)
class TopImage:
    """One of a unit's strongest images: its path in the folder of images, its activation and its label."""

    image: Annotated[str, AfterValidator(_checked)]
    activation: Finite
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
    mean: Finite
    max: Finite
    active: Finite
    sparsity: Finite
    top: Annotated[tuple[TopImage, ...], Field(min_length=1)]
    best_class: str | None = None
    selectivity: Finite | None = None
    entropy: Finite | None = None
    concept: str | None = None
    alignment: Finite | None = None
    clarity: Finite | None = None

    def to_json(self) -> str:
        """Write the unit as a line of `units.jsonl`."""
        known = {name: value for name, value in vars(self).items() if value is not None and name != "top"}
        top = [{name: value for name, value in vars(image).items() if value is not None} for image in self.top]
        return to_json({**known, "top": top})

    @classmethod
    def from_json(cls, text: bytes) -> Unit:
        """Read a unit from a line of `units.jsonl`.

        Raises:
            ValueError: it is not one.
        """
        return _units().validate_python(parse_json(text))


@cache
def _units() -> TypeAdapter[Unit]:
    return TypeAdapter(Unit)
