"""Guided Grad-CAM: Grad-CAM times guided backpropagation."""

from __future__ import annotations

from captum.attr import GuidedBackprop
from torch import Tensor, nn

from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.descriptors import CamOptions
from equidiff.builtin.attributions.gradcam import class_activation_map
from equidiff.builtin.attributions.modules import require_modules
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.types import Samples


def build(argument: str | None, options: CamOptions, context: BuildContext) -> Captum:
    """Build `guided_gradcam`: like Captum's GuidedGradCam, but bilinear and aware of crops."""

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        weights = class_activation_map(scalar, samples, options.layer)
        require_modules(scalar, samples, nn.ReLU, "Guided Grad-CAM")
        return weights * GuidedBackprop(scalar).attribute(samples)

    return Captum(compute, local=True)
