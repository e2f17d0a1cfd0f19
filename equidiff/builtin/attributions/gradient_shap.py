"""Gradient SHAP: gradients at random points between the sample and several baselines."""

from __future__ import annotations

from captum.attr import GradientShap
from torch import Tensor

from equidiff.builtin.attributions.baselines import baseline_samples
from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.descriptors import GradientShapOptions
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.types import Samples


def build(argument: str | None, options: GradientShapOptions, context: BuildContext) -> Captum:
    """Build `gradient_shap`, and its baselines at once."""
    baselines = baseline_samples(context, options.baselines, options.seed)

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        return GradientShap(scalar).attribute(
            samples, baselines=baselines, n_samples=options.samples, stdevs=options.stdev
        )

    return Captum(compute, random=True)
