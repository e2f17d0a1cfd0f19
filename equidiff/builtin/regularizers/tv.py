"""`tv:LIMIT`: a penalty on total variation above a limit.

The default limit is the median over the 60,000 training images of Fashion-MNIST, 28x28 and in [0, 1]: 0.149. Of these
images 5 % have less than 0.099 and 5 % more than 0.231; grey noise of the generator `pixels` has 0.226, so a limit that
allows nearly all garments would also allow noise. Total variation is a mean per pixel and falls with the resolution: of
300 photographs of ImageNet, 224x224, 5 % have less than 0.026, half less than 0.067, 95 % less than 0.145.

References:
    Mahendran and Vedaldi (2015), "Understanding deep image representations by inverting them". They add weighted
    total variation to the loss. Here a limit takes the place of the weight: the loss of a member is close to zero.
    https://arxiv.org/abs/1412.0035
"""

from __future__ import annotations

import math
from typing import final

from torch import Tensor

from equidiff.contracts import BuildContext, Regularizer
from equidiff.errors import EquiDiffError, SpecError
from equidiff.kinds.registry import kind_of
from equidiff.registry.descriptors import Options
from equidiff.types import Latents, PerSample, Samples

DEFAULT_LIMIT = 0.15


@final
class TotalVariation(Regularizer):
    """No views; a penalty of `(max(0, TV - limit) / limit)^2`, which is zero within the limit and has no unit.

    A member's loss is below the tolerance, so its total variation exceeds the limit by at most the square root of the
    tolerance: 3 % at 0.001, 10 % at 0.01.

    Args:
        limit: largest total variation without a penalty, above 0.
    """

    def __init__(self, limit: float = DEFAULT_LIMIT) -> None:
        self.limit = limit

    def penalty(self, samples: Samples, latents: Latents) -> PerSample:
        """Square of the relative excess of total variation over the limit.

        Args:
            samples: `[batch, channels, height, width]`.
            latents: ignored.
        """
        return ((total_variation(samples) - self.limit).clamp(min=0) / self.limit).square()


def total_variation(samples: Samples) -> PerSample:
    """Mean absolute difference of pixels from their right neighbours, plus that from their lower neighbours.

    This is the anisotropic variant; for an image in [0, 1] it is at most 2.

    Args:
        samples: `[batch, channels, height, width]`.

    Returns:
        `[batch]`, in the unit of the samples.
    """
    return _mean_magnitude(samples.diff(dim=-1)) + _mean_magnitude(samples.diff(dim=-2))


def _mean_magnitude(differences: Tensor) -> Tensor:
    sizes = differences.abs().flatten(1)
    return sizes.sum(dim=1) / max(1, sizes.shape[1])  # an image one pixel wide has no neighbours to the right


def build(argument: str | None, options: Options, context: BuildContext) -> Regularizer:
    """Build `tv:LIMIT`.

    Raises:
        SpecError: the limit is not a number above 0.
        EquiDiffError: the generator makes no images.
    """
    try:
        limit = DEFAULT_LIMIT if argument is None else float(argument)
    except ValueError:
        limit = math.nan
    if not 0 < limit < math.inf:
        raise SpecError(
            "The limit of 'tv' is a total variation.",
            given=argument,
            expected="a number above 0: the mean difference of neighbouring pixels, right and below, added",
            hint="--regularizer tv:0.15",
        )
    kind = None if context.generator is None else kind_of(context.generator)
    if context.generator is not None and kind is not None and len(context.generator.sample_shape) != 3:
        raise EquiDiffError(
            f"Total variation needs images, and this generator makes {kind.plural}.",
            given=f"samples of shape {tuple(context.generator.sample_shape)}",
            expected="samples of shape (channels, height, width)",
            hint="--regularizer none",
        )
    return TotalVariation(limit)
