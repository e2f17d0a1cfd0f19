"""Points: coordinates without a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from equidiff.contracts.sample_kind import CONTOUR, LINES, SampleKind

MOST_NAMED = 16  # coordinates


@final
class Point(SampleKind):
    """Points of any shape: those of two coordinates lie in a plane, and are drawn there."""

    name: ClassVar[str] = "point"
    noun: ClassVar[str] = "point"
    plural: ClassVar[str] = "points"
    heading: ClassVar[str] = "Point"
    values: ClassVar[str] = "coordinates"
    compared_by: ClassVar[str] = "coordinates"

    @property
    def shapes(self) -> str:
        return "any shape"

    def fits(self, shape: Sequence[int]) -> bool:
        return True

    def overview(self, shape: Sequence[int]) -> str:
        return CONTOUR if tuple(shape) == (2,) else LINES

    def names(self, shape: Sequence[int]) -> list[str]:
        count = shape[0] if len(shape) == 1 else 0
        return [f"x{place}" for place in range(1, count + 1)] if count <= MOST_NAMED else []
