"""DeepLIFT."""

from __future__ import annotations

import torch
from captum.attr import DeepLift
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import Tensor

from equidiff.builtin.attributions.baselines import baseline_difference
from equidiff.builtin.attributions.captum import Captum, warn_if_incomplete
from equidiff.builtin.attributions.conservation import explain_gap
from equidiff.builtin.attributions.descriptors import BaselineOptions
from equidiff.builtin.attributions.modules import require_single_use
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.types import Samples


def build(argument: str | None, options: BaselineOptions, context: BuildContext) -> Captum:
    """Build `deeplift`."""

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        require_single_use(scalar, samples, tuple(SUPPORTED_NON_LINEAR), "DeepLIFT")
        values, gaps = DeepLift(scalar).attribute(samples, baselines=options.baseline, return_convergence_delta=True)

        def explain() -> str:
            worst = samples[gaps.abs().argmax()][None]
            return explain_gap(scalar, worst, torch.full_like(worst, options.baseline))

        difference = baseline_difference(scalar, samples, torch.full_like(samples, options.baseline))
        warn_if_incomplete("DeepLIFT", gaps, difference, explain)
        return values

    return Captum(compute)
