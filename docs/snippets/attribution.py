"""`smooth-gradient`: the gradient around each pixel, in the place of a method of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import torch
import torch.nn.functional as F
from equidiff.contracts import Attribution, BuildContext, ScalarTarget
from equidiff.types import Attributions, Samples

if TYPE_CHECKING:
    from equidiff_smooth_gradient.plugin import SmoothGradientOptions


@final
class SmoothGradientAttribution(Attribution):
    """Absolute value of the gradient, averaged over a square of pixels.

    Args:
        reach: pixels on each side of the middle one.
    """

    local = True  # values are slopes; False where they are shares of the measurement
    random = False  # True where the method draws random numbers

    def __init__(self, reach: int = 1) -> None:
        self.reach = reach

    def attribute(self, scalar: ScalarTarget, samples: Samples) -> Attributions:
        """Explain images `[batch, channels, height, width]` by maps of their shape, or with one channel.

        Put your own method here. `scalar(samples)` gives one number for each image, and `scalar.networks` are the
        modules that it asks, for hooks; take these away again. Return maps without a graph.
        """
        leaf = samples.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(scalar(leaf).sum(), leaf)
        side = 2 * self.reach + 1
        return F.avg_pool2d(gradient.abs(), side, stride=1, padding=self.reach, count_include_pad=False)


def build(argument: str | None, options: SmoothGradientOptions, context: BuildContext) -> Attribution:
    """Build `smooth-gradient`."""
    return SmoothGradientAttribution(options.reach)
