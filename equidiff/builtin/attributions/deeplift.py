"""DeepLIFT."""

from __future__ import annotations

from captum.attr import DeepLift
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import Tensor

from equidiff.builtin.attributions.captum import (
    MISSING_RULE,
    Captum,
    baseline_differences,
    warn_if_incomplete,
)
from equidiff.builtin.attributions.descriptors import BaselineOptions
from equidiff.builtin.attributions.modules import require_single_use
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.types import Samples


def build(argument: str | None, options: BaselineOptions, context: BuildContext) -> Captum:
    """Build `deeplift`."""

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        require_single_use(scalar, samples, tuple(SUPPORTED_NON_LINEAR), "DeepLIFT")
        values, gaps = DeepLift(scalar).attribute(samples, baselines=options.baseline, return_convergence_delta=True)
        warn_if_incomplete("DeepLIFT", gaps, baseline_differences(scalar, samples, options.baseline), MISSING_RULE)
        return values

    return Captum(compute)
