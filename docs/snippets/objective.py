"""`contrast`: the contrast of neighbours, in the place of a measurement of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from equidiff.contracts import BuildContext, Objective
from equidiff.plugin import EquiDiffError
from equidiff.types import Measurements, Samples

if TYPE_CHECKING:
    from equidiff_contrast.plugin import ContrastOptions


@final
class ContrastObjective(Objective):
    """Mean square of the difference between pixels and their neighbours, across and down.

    Args:
        distance: of the neighbours, in pixels.
    """

    names = ("contrast",)  # one for each number that `measure` gives
    unit = "per cent"

    def __init__(self, distance: int = 1) -> None:
        self.distance = distance

    def measure(self, samples: Samples) -> Measurements:
        """Measure images `[batch, channels, height, width]`, nominally in [0, 1]; the result is `[batch, 1]`.

        Put your network here: resize and normalise the images as its training did, and return its activations as
        `[batch, len(self.names)]`. Every step must be differentiable: no `.item()`, no numpy, no `no_grad`.
        """
        down = samples[..., self.distance :, :] - samples[..., : -self.distance, :]
        across = samples[..., self.distance :] - samples[..., : -self.distance]
        return 100 * (down.square().mean(dim=(1, 2, 3)) + across.square().mean(dim=(1, 2, 3)))[:, None]


def build(argument: str | None, options: ContrastOptions, context: BuildContext) -> Objective:
    """Build `contrast`.

    Load your network here, onto `context.device`, in evaluation mode and without gradients of its parameters.

    Raises:
        EquiDiffError: the samples of the run's generator cannot be measured.
    """
    if context.generator is not None and len(context.generator.sample_shape) != 3:
        raise EquiDiffError(
            "'contrast' measures images, and this generator makes something else.",
            given=f"samples of shape {tuple(context.generator.sample_shape)}",
            expected="samples of shape (channels, height, width)",
            hint="--generator toy",
        )
    return ContrastObjective(options.distance)
