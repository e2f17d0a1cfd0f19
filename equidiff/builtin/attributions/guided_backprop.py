"""Guided backpropagation."""

from __future__ import annotations

from captum.attr import GuidedBackprop
from torch import Tensor, nn

from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.modules import require_modules
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.registry.descriptors import Options
from equidiff.types import Samples


def build(argument: str | None, options: Options, context: BuildContext) -> Captum:
    """Build `guided_backprop`."""

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        require_modules(scalar, samples, nn.ReLU, "Guided backpropagation")
        return GuidedBackprop(scalar).attribute(samples)

    return Captum(compute, local=True)
