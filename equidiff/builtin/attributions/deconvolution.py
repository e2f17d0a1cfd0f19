"""Deconvolution."""

from __future__ import annotations

from captum.attr import Deconvolution
from torch import Tensor, nn

from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.modules import require_modules
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.registry.descriptors import Options
from equidiff.types import Samples


def build(argument: str | None, options: Options, context: BuildContext) -> Captum:
    """Build `deconvolution`."""

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        require_modules(scalar, samples, nn.ReLU, "Deconvolution")
        return Deconvolution(scalar).attribute(samples)

    return Captum(compute, local=True)
