"""`mirror`: the mirror image as a view, in the place of a regularizer of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from equidiff.contracts import BuildContext, Regularizer
from equidiff.plugin import EquiDiffError
from equidiff.types import Samples

if TYPE_CHECKING:
    from equidiff_mirror.plugin import MirrorOptions


@final
class MirrorRegularizer(Regularizer):
    """One view: the mirror image.

    Args:
        axis: to mirror along, "horizontal" or "vertical".
    """

    def __init__(self, axis: str = "horizontal") -> None:
        self.axis = axis

    def views(self, samples: Samples) -> list[Samples]:
        """Mirror images `[batch, channels, height, width]`; each view has the shape of the samples.

        Put your own filters here. They must be differentiable, and treat each image as if it were alone. To punish
        samples in place of filtering them, return [] here and define
        `penalty(self, samples, latents)`, which gives an amount of at least 0 for each sample, `[batch]`.
        """
        return [samples.flip(-1 if self.axis == "horizontal" else -2)]


def build(argument: str | None, options: MirrorOptions, context: BuildContext) -> Regularizer:
    """Build `mirror`.

    Raises:
        EquiDiffError: the run's generator makes something else than images.
    """
    if context.generator is not None and len(context.generator.sample_shape) != 3:
        raise EquiDiffError(
            "'mirror' mirrors images, and this generator makes something else.",
            given=f"samples of shape {tuple(context.generator.sample_shape)}",
            expected="samples of shape (channels, height, width)",
            hint="--regularizer none",
        )
    return MirrorRegularizer(options.axis)
