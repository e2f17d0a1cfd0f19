"""Occlusion by a sliding window."""

from __future__ import annotations

import torch
from captum.attr import Occlusion
from torch import Tensor

from equidiff.builtin.attributions.baselines import Baselines
from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.cells import copies_per_pass
from equidiff.builtin.attributions.descriptors import OcclusionOptions
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.errors import UnsupportedError
from equidiff.types import Samples

WINDOWS_PER_SIDE = 4  # the default window is a quarter of the shorter side


def build(argument: str | None, options: OcclusionOptions, context: BuildContext) -> Captum:
    """Build `occlusion`, and its baselines at once."""
    baselines = Baselines(options, context)

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
        maps = [
            Occlusion(scalar).attribute(
                samples,
                sliding_window_shapes=(channels, window, window),
                strides=(channels, stride, stride),
                baselines=baseline,
                perturbations_per_eval=copies_per_pass(scalar, samples),
            )
            for baseline in baselines.like(samples)
        ]
        return torch.stack(maps).mean(dim=0)

    return Captum(compute, spatial=True)
