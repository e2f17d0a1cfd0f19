"""Feature ablation over the cells of a grid."""

from __future__ import annotations

from captum.attr import FeatureAblation
from torch import Tensor

from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.cells import copies_per_pass, grid
from equidiff.builtin.attributions.descriptors import AblationOptions
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.types import Samples


def build(argument: str | None, options: AblationOptions, context: BuildContext) -> Captum:
    """Build `feature_ablation`."""

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        return FeatureAblation(scalar).attribute(
            samples,
            baselines=options.baseline,
            feature_mask=grid(samples, options.cells),
            perturbations_per_eval=copies_per_pass(scalar, samples),
        )

    return Captum(compute, spatial=True)
