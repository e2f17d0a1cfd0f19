"""Occlusion by a sliding window."""

from __future__ import annotations

import torch
from captum.attr import Occlusion
from torch import Tensor

from equidiff.builtin.attributions.baselines import Baselines
from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.cells import copies_per_pass, window_side
from equidiff.builtin.attributions.descriptors import OcclusionOptions
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.errors import UnsupportedError
from equidiff.types import Samples


def build(argument: str | None, options: OcclusionOptions, context: BuildContext) -> Captum:
    """Build `occlusion`, and its baselines at once."""
    baselines = Baselines(options, context)

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        channels, *sides = samples.shape[1:]
        shorter = min(side for side in sides if side > 1 or max(sides) == 1)
        window = options.window or window_side(samples)
        if window > shorter:
            raise UnsupportedError(
                "The window is larger than the samples.",
                given=f"window={window}",
                expected=f"at most {shorter}",
            )
        stride = min(options.stride or max(1, window // 2), window)
        maps = [
            Occlusion(scalar).attribute(
                samples,
                sliding_window_shapes=(channels, *(min(window, side) for side in sides)),
                strides=(channels, *(min(stride, side) for side in sides)),
                baselines=baseline,
                perturbations_per_eval=copies_per_pass(scalar, samples),
            )
            for baseline in baselines.like(samples)
        ]
        return torch.stack(maps).mean(dim=0)

    return Captum(compute, spatial=True)
