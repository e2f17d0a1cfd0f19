"""DeepLIFT SHAP: DeepLIFT averaged over several baselines."""

from __future__ import annotations

import torch
from captum.attr import DeepLiftShap
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import Tensor

from equidiff.builtin.attributions.baselines import baseline_samples
from equidiff.builtin.attributions.captum import Captum, warn_if_incomplete
from equidiff.builtin.attributions.conservation import explain_gap
from equidiff.builtin.attributions.descriptors import DeepLiftShapOptions
from equidiff.builtin.attributions.modules import require_single_use
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.types import Samples


def build(argument: str | None, options: DeepLiftShapOptions, context: BuildContext) -> Captum:
    """Build `deeplift_shap`, and its baselines at once."""
    baselines = baseline_samples(context, options.baselines, options.seed)

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        require_single_use(scalar, samples, tuple(SUPPORTED_NON_LINEAR), "DeepLIFT SHAP")
        method = DeepLiftShap(scalar)
        # one by one: Captum pairs each sample with all baselines
        rows = [method.attribute(row, baselines, return_convergence_delta=True) for row in samples.split(1)]
        with torch.no_grad():
            reference = scalar(baselines).mean()
            differences = scalar(samples) - reference
        gaps = torch.stack([gap.mean() for _, gap in rows])

        def explain() -> str:
            return explain_gap(scalar, samples[gaps.abs().argmax()][None], baselines[:1])

        warn_if_incomplete("DeepLIFT SHAP", gaps, differences, explain)
        return torch.cat([values for values, _ in rows])

    return Captum(compute)
