"""Methods that put something else in the place of regions, and look at the measurement alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from captum._utils.models.linear_model import SkLearnLasso
from captum.attr import FeatureAblation, KernelShap, Lime, Occlusion
from torch import Tensor

from equidiff.attributions.captum import Captum, no_argument
from equidiff.builtin_attributions import AblationOptions, LimeOptions, OcclusionOptions, RegressionOptions
from equidiff.contracts import BuildContext, Explained
from equidiff.errors import UnsupportedError
from equidiff.types import Samples

SHARE = 4  # of the sample's shorter side: the usual window is one in four


def build_occlusion(argument: str | None, options: OcclusionOptions, context: BuildContext) -> Captum:
    """Build `occlusion`."""
    no_argument("occlusion", argument)

    def compute(explained: Explained, samples: Samples) -> Tensor:
        channels, height, width = samples.shape[1:]
        window = options.window or max(1, min(height, width) // SHARE)
        if window > min(height, width):
            raise UnsupportedError(
                "The window is larger than the samples.",
                given=f"window={window}",
                expected=f"at most {min(height, width)}",
            )
        stride = min(options.stride or max(1, window // 2), window)
        return Occlusion(explained).attribute(
            samples,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=options.baseline,
            perturbations_per_eval=_per_pass(explained, samples),
        )

    return Captum(compute, places=True)


def build_feature_ablation(argument: str | None, options: AblationOptions, context: BuildContext) -> Captum:
    """Build `feature_ablation`: cell by cell of a grid."""
    no_argument("feature_ablation", argument)

    def compute(explained: Explained, samples: Samples) -> Tensor:
        return FeatureAblation(explained).attribute(
            samples,
            baselines=options.baseline,
            feature_mask=grid(samples, options.cells),
            perturbations_per_eval=_per_pass(explained, samples),
        )

    return Captum(compute, places=True)


def build_lime(argument: str | None, options: LimeOptions, context: BuildContext) -> Captum:
    """Build `lime`: a sparse linear model of the measurement, over the cells of a grid."""
    no_argument("lime", argument)

    def method(explained: Explained, row: Samples) -> Lime:
        with torch.no_grad():
            covered = torch.full_like(row, options.baseline)
            reach = float((explained(row) - explained(covered)).abs())
        # the penalty is in units of the measurement, whose scale says nothing; without any reach there is no model
        return Lime(explained, SkLearnLasso(alpha=max(options.alpha * reach, torch.finfo(torch.float32).tiny)))

    return _regression(method, options)


def build_kernel_shap(argument: str | None, options: RegressionOptions, context: BuildContext) -> Captum:
    """Build `kernel_shap`: Shapley's weights in the place of a penalty."""
    no_argument("kernel_shap", argument)
    return _regression(lambda explained, row: KernelShap(explained), options)


def _regression(method: Callable[[Explained, Samples], Lime], options: RegressionOptions) -> Captum:
    def compute(explained: Explained, samples: Samples) -> Tensor:
        mask = grid(samples, options.cells)
        rows = [
            # one by one, as Captum asks: each has a linear model of its own
            method(explained, row).attribute(
                row,
                baselines=options.baseline,
                feature_mask=mask,
                n_samples=options.samples,
                perturbations_per_eval=explained.batch,
            )
            for row in samples.split(1)
        ]
        return torch.cat(rows)

    return Captum(compute, random=True, places=True)


def grid(samples: Samples, cells: int) -> Tensor:
    """Which cell each pixel belongs to, `[1, 1, height, width]`; cells are as equal as pixels allow.

    Raises:
        UnsupportedError: there are more cells than pixels along a side.
    """
    height, width = samples.shape[2:]
    if cells > min(height, width):
        raise UnsupportedError(
            "There are more cells than pixels.", given=f"cells={cells}", expected=f"at most {min(height, width)}"
        )
    rows, columns = (torch.arange(side, device=samples.device) * cells // side for side in (height, width))
    return (rows[:, None] * cells + columns[None])[None, None]


def _per_pass(explained: Explained, samples: Samples) -> int:
    return max(1, explained.batch // len(samples))
