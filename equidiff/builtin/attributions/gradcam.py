"""Grad-CAM."""

from __future__ import annotations

from captum.attr import LayerGradCam
from torch import Tensor
from torch.nn.functional import interpolate, pad

from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.descriptors import CamOptions
from equidiff.builtin.attributions.modules import find_layer, seen_box
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.errors import UnsupportedError, first_line
from equidiff.types import Samples


def build(argument: str | None, options: CamOptions, context: BuildContext) -> Captum:
    """Build `gradcam`."""
    return Captum(lambda scalar, samples: class_activation_map(scalar, samples, options.layer))


def class_activation_map(scalar: ScalarTarget, samples: Samples, name: str | None) -> Tensor:
    """The layer's map over the pixels that the network sees, zero elsewhere: `[batch, 1, height, width]`."""
    layer = find_layer(scalar, samples, name)
    try:
        coarse = LayerGradCam(scalar, layer).attribute(samples, relu_attributions=True)
    except (AssertionError, RuntimeError, IndexError) as error:
        raise UnsupportedError(
            f"Grad-CAM cannot read this layer: {first_line(error)}",
            given=name or type(layer).__name__,
            expected="a layer of feature maps that the measurement calls once",
        ) from error
    if coarse.ndim != 4:
        raise UnsupportedError(
            "Grad-CAM needs feature maps.",
            given=f"{name}, whose output has {coarse.ndim - 1} axes per sample",
            expected="an output of channels, height and width",
        )
    top, bottom, left, right = seen_box(scalar, samples)
    fine = interpolate(coarse, (bottom - top, right - left), mode="bilinear", align_corners=False)
    return pad(fine, (left, samples.shape[3] - right, top, samples.shape[2] - bottom))
