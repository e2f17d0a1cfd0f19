"""Steps between the frames of a path, and those among them that are jumps."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass

from torch import Tensor

from equidiff.numerics.gaussian import angle_between

JUMP = 2.0  # a step is a jump if it is longer than the median of the others by more than this factor
ROUNDING = 1e-6  # steps between samples that are shorter than this are none


@dataclass(frozen=True)
class Steps:
    """Distances from each frame to the next.

    Attributes:
        angles: between their latents, in radians.
        images: between their samples, root mean square.
    """

    angles: list[float]
    images: list[float]

    @classmethod
    def of(cls, latents: Tensor, samples: Tensor) -> Steps:
        """Measure the steps between frames, one frame per row."""
        images = (samples[1:] - samples[:-1]).flatten(1).square().mean(dim=1).sqrt()
        return cls([angle_between(*pair) for pair in itertools.pairwise(latents)], images.tolist())

    @property
    def ratio(self) -> float:
        """The largest step between samples, in medians of the others; 1 if there is one step only."""
        return max(self._ratios())

    @property
    def jumps(self) -> list[int]:
        """Positions of the steps that are jumps."""
        return [place for place, ratio in enumerate(self._ratios()) if ratio > JUMP]

    def _ratios(self) -> list[float]:
        if len(self.images) == 1:
            return [1.0]
        ratios: list[float] = []
        for place, step in enumerate(self.images):
            others = statistics.median(self.images[:place] + self.images[place + 1 :])
            ratios.append(max(step, ROUNDING) / max(others, ROUNDING))
        return ratios
