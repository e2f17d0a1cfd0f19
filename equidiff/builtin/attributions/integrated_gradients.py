"""Integrated gradients."""

from __future__ import annotations

from captum.attr import IntegratedGradients
from torch import Tensor

from equidiff.builtin.attributions.captum import Captum, baseline_differences, warn_if_incomplete
from equidiff.builtin.attributions.descriptors import IntegratedGradientsOptions
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.types import Samples


def build(argument: str | None, options: IntegratedGradientsOptions, context: BuildContext) -> Captum:
    """Build `integrated_gradients`."""

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        values, gaps = IntegratedGradients(scalar).attribute(
            samples,
            baselines=options.baseline,
            n_steps=options.steps,
            internal_batch_size=max(scalar.batch, len(samples)),
            return_convergence_delta=True,
        )
        differences = baseline_differences(scalar, samples, options.baseline)
        warn_if_incomplete("integrated gradients", gaps, differences, lambda: f"steps={4 * options.steps} may help")
        return values

    return Captum(compute)
