"""`blur:SIGMA`: a Gaussian blur as a view."""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F

from equidiff.contracts import BuildContext, Regularizer
from equidiff.plugin import EquiDiffError, Options
from equidiff.types import Samples

REACH = 3  # standard deviations at which the kernel is cut off


@final
class Blur(Regularizer):
    """One view: the image under a Gaussian blur, padded by repeating its border.

    Args:
        sigma: standard deviation in pixels, above 0.
    """

    def __init__(self, sigma: float = 1.0) -> None:
        self.sigma = sigma

    def views(self, samples: Samples) -> list[Samples]:
        """The blurred images, of the same shape as the images, `[batch, channels, height, width]`."""
        reach = math.ceil(REACH * self.sigma)
        offsets = torch.arange(-reach, reach + 1, device=samples.device, dtype=samples.dtype)
        kernel = torch.exp(-0.5 * (offsets / self.sigma) ** 2)
        kernel = kernel / kernel.sum()
        batch, channels, height, width = samples.shape
        channelwise = samples.reshape(batch * channels, 1, height, width)
        channelwise = F.pad(channelwise, (reach, reach, reach, reach), mode="replicate")
        channelwise = F.conv2d(F.conv2d(channelwise, kernel[None, None, None]), kernel[None, None, :, None])
        return [channelwise.reshape(samples.shape)]


def build(argument: str | None, options: Options, context: BuildContext) -> Regularizer:
    """Build `blur:SIGMA`.

    Raises:
        EquiDiffError: sigma is not a number above 0.
    """
    try:
        sigma = 1.0 if argument is None else float(argument)
    except ValueError:
        sigma = math.nan
    if not 0 < sigma < math.inf:
        raise EquiDiffError(
            "The blur needs a standard deviation in pixels.",
            given=argument,
            expected="a number above 0",
            hint="--regularizer blur:1",
        )
    return Blur(sigma)
