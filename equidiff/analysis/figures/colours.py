"""Colours of maps, the same in every image and page: orange is evidence for a value, purple evidence against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SIGNED = "PuOr_r"  # from purple, for what is negative, through white at zero to orange
UNSIGNED = "cividis"
EXTREME = 99.5  # the percentile of the sizes that has the strongest colour


@dataclass(frozen=True)
class Scale:
    """Colours for the values of some maps.

    Attributes:
        colours: name of matplotlib's colour map.
        low: value of its first colour.
        high: value of its last colour.
    """

    colours: str
    low: float
    high: float

    @classmethod
    def of(cls, maps: Sequence[np.ndarray], signed: bool | None = None) -> Scale:
        """Scale for maps that are compared with each other.

        Args:
            maps: their values; NaN is left out.
            signed: colour both signs, with zero in the middle; by default if a value is negative.
        """
        sizes = np.abs(np.concatenate([np.ravel(each) for each in maps]))
        sizes = sizes[~np.isnan(sizes)]
        # the highest, where almost all values are 0
        extreme = float(np.percentile(sizes, EXTREME) or sizes.max() or 1.0) if len(sizes) else 1.0
        if signed is None:
            signed = is_signed(maps)
        return cls(SIGNED, -extreme, extreme) if signed else cls(UNSIGNED, 0.0, extreme)

    @property
    def legend(self) -> str:
        """Meaning of the colours, for maps of attribution methods: a sentence."""
        return "Orange: evidence for the measurement; purple: against." if self.low < 0 else "Brighter: more important."


def is_signed(maps: Sequence[np.ndarray]) -> bool:
    """Tell maps that have a negative value from those that only say how important a pixel is."""
    return any((each < 0).any() for each in maps)
