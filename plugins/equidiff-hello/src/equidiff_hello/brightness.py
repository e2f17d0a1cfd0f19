"""`brightness`: mean grey level, in per cent."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from equidiff.contracts import BuildContext, Objective
from equidiff.plugin import EquiDiffError
from equidiff.types import Measurements, Samples

if TYPE_CHECKING:
    from equidiff_hello.plugin import BrightnessOptions


@final
class Brightness(Objective):
    """Mean grey level of the middle of an image.

    Args:
        middle: fraction of the width and height to measure, in (0, 1].
    """

    names = ("brightness",)
    unit = "per cent"

    def __init__(self, middle: float = 1.0) -> None:
        self.middle = middle

    def measure(self, samples: Samples) -> Measurements:
        """The brightness of images `[batch, channels, height, width]`, nominally in [0, 1], as `[batch, 1]`."""
        top, left = (int(side * (1 - self.middle) / 2) for side in samples.shape[-2:])
        height, width = samples.shape[-2:]
        inner = samples[..., top : height - top, left : width - left]
        return 100 * inner.mean(dim=(1, 2, 3))[:, None]


def build(argument: str | None, options: BrightnessOptions, context: BuildContext) -> Objective:
    """Build `brightness`.

    Raises:
        EquiDiffError: the generator makes points.
    """
    if context.generator is not None and len(context.generator.sample_shape) != 3:
        raise EquiDiffError(
            "Brightness needs images, and this generator makes points.",
            given=f"samples of shape {tuple(context.generator.sample_shape)}",
            expected="samples of shape (channels, height, width)",
            hint="--generator toy:fashion",
        )
    return Brightness(options.middle)
