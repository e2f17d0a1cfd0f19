"""Occlusion by a sliding window."""

from __future__ import annotations

from captum.attr import Occlusion
from torch import Tensor

from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.cells import copies_per_pass
from equidiff.builtin.attributions.descriptors import OcclusionOptions
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.errors import UnsupportedError
from equidiff.types import Samples

WINDOWS_PER_SIDE = 4  # the default window is a quarter of the shorter side


def build(argument: str | None, options: OcclusionOptions, context: BuildContext) -> Captum:
    """Build `occlusion`."""

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        channels, height, width = samples.shape[1:]
        window = options.window or max(1, min(height, width) // WINDOWS_PER_SIDE)
        if window > min(height, width):
            raise UnsupportedError(
                "The window is larger than the samples.",
                given=f"window={window}",
                expected=f"at most {min(height, width)}",
            )
        stride = min(options.stride or max(1, window // 2), window)
        return Occlusion(scalar).attribute(
            samples,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=options.baseline,
            perturbations_per_eval=copies_per_pass(scalar, samples),
        )

    return Captum(compute, spatial=True)
