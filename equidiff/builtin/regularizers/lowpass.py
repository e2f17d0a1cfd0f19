"""`lowpass:CUTOFF`: the measurement must also hold for the low spatial frequencies alone.

References:
    Thesis, section 3.3.1 and appendix .4, eq. 3: an ideal low-pass filter in the frequency domain.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from equidiff.builtin.regularizers.descriptors import LowPassOptions
from equidiff.contracts import BuildContext, Regularizer
from equidiff.errors import EquiDiffError, SpecError
from equidiff.kinds.registry import kind_of
from equidiff.types import Samples

DEFAULT_CUTOFF = 0.5


@final
class LowPass(Regularizer):
    """One view: the image without its spatial frequencies above a cut-off. Linear, so differentiable.

    The filter is circular in the frequency plane and treats the image as periodic.

    Args:
        cutoff: radius of the pass band, as a fraction of the Nyquist frequency (half a cycle a pixel), in (0, 1].
        smooth: let the gain fall as a raised cosine, from 1 at frequency zero through 1/2 at the cut-off to 0 at twice
            the cut-off, instead of in a step, which rings.
    """

    def __init__(self, cutoff: float = DEFAULT_CUTOFF, smooth: bool = False) -> None:
        self.cutoff = cutoff
        self.smooth = smooth
        self._responses: dict[tuple[object, ...], Tensor] = {}

    def views(self, samples: Samples) -> list[Samples]:
        """The filtered images.

        Args:
            samples: `[batch, channels, height, width]`.
        """
        height, width = samples.shape[-2:]
        key = (height, width, samples.device, samples.dtype)
        if key not in self._responses:  # a copy to the device, for which the host would wait in every pass
            self._responses[key] = self.response(height, width).to(samples)
        spectrum = torch.fft.rfft2(samples) * self._responses[key]
        return [torch.fft.irfft2(spectrum, s=(height, width))]

    def response(self, height: int, width: int) -> Tensor:
        """The filter's gain in [0, 1] at each frequency of `torch.fft.rfft2`, `[height, width // 2 + 1]`."""
        radius = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None]) / 0.5
        if not self.smooth:
            return (radius <= self.cutoff).float()
        return 0.5 + 0.5 * torch.cos(torch.pi * (radius / (2 * self.cutoff)).clamp(max=1))


def build(argument: str | None, options: LowPassOptions, context: BuildContext) -> Regularizer:
    """Build `lowpass:CUTOFF`.

    Raises:
        SpecError: the cut-off is not a number in (0, 1].
        EquiDiffError: the generator makes no images.
    """
    try:
        cutoff = DEFAULT_CUTOFF if argument is None else float(argument)
    except ValueError:
        cutoff = float("nan")
    if not 0 < cutoff <= 1:
        raise SpecError(
            "The cut-off of 'lowpass' is a fraction of the Nyquist frequency.",
            given=argument,
            expected="a number above 0 and at most 1",
            hint="--regularizer lowpass:0.5",
        )
    kind = None if context.generator is None else kind_of(context.generator)
    if context.generator is not None and kind is not None and len(context.generator.sample_shape) != 3:
        raise EquiDiffError(
            f"A low-pass filter needs images, and this generator makes {kind.plural}.",
            given=f"samples of shape {tuple(context.generator.sample_shape)}",
            expected="samples of shape (channels, height, width)",
            hint="--regularizer none",
        )
    return LowPass(cutoff, options.edge == "smooth")
