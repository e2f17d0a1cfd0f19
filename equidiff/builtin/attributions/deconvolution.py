"""Deconvolution."""

from __future__ import annotations

from captum.attr import Deconvolution
from torch import Tensor, nn

from equidiff.builtin.attributions.captum import Captum, no_argument
from equidiff.builtin.attributions.modules import require_modules
from equidiff.contracts import BuildContext, Explained
from equidiff.registry.descriptors import Options
from equidiff.types import Samples


def build(argument: str | None, options: Options, context: BuildContext) -> Captum:
    """Build `deconvolution`."""
    no_argument("deconvolution", argument)

    def compute(explained: Explained, samples: Samples) -> Tensor:
        require_modules(explained, samples, nn.ReLU, "Deconvolution")
        return Deconvolution(explained).attribute(samples)

    return Captum(compute, local=True)
