"""Feature ablation over the cells of a grid."""

from __future__ import annotations

import torch
from captum.attr import FeatureAblation
from torch import Tensor

from equidiff.builtin.attributions.baselines import Baselines
from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.cells import copies_per_pass, grid
from equidiff.builtin.attributions.descriptors import AblationOptions
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.types import Samples


def build(argument: str | None, options: AblationOptions, context: BuildContext) -> Captum:
    """Build `feature_ablation`, and its baselines at once."""
    baselines = Baselines(options, context)

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        maps = [
            FeatureAblation(scalar).attribute(
                samples,
                baselines=baseline,
                feature_mask=grid(samples, options.cells),
                perturbations_per_eval=copies_per_pass(scalar, samples),
            )
            for baseline in baselines.like(samples)
        ]
        return torch.stack(maps).mean(dim=0)

    return Captum(compute, spatial=True)
