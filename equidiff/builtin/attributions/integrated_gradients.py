"""Integrated gradients."""

from __future__ import annotations

import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from equidiff.builtin.attributions.baselines import Baselines, baseline_difference
from equidiff.builtin.attributions.captum import Captum, warn_if_incomplete
from equidiff.builtin.attributions.descriptors import IntegratedGradientsOptions
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.types import Samples


def build(argument: str | None, options: IntegratedGradientsOptions, context: BuildContext) -> Captum:
    """Build `integrated_gradients`, and its baselines at once."""
    baselines = Baselines(options, context)

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        method = IntegratedGradients(scalar)
        rows: list[Tensor] = []
        gaps: list[Tensor] = []
        differences: list[Tensor] = []
        for baseline in baselines.like(samples):
            values, gap = method.attribute(
                samples,
                baselines=baseline,
                n_steps=options.steps,
                internal_batch_size=max(scalar.batch, len(samples)),
                return_convergence_delta=True,
            )
            rows.append(values)
            gaps.append(gap)
            differences.append(baseline_difference(scalar, samples, baseline))
        remedy = f"steps={4 * options.steps} may help"
        warn_if_incomplete("integrated gradients", torch.cat(gaps), torch.cat(differences), lambda: remedy)
        return torch.stack(rows).mean(dim=0)

    return Captum(compute)
