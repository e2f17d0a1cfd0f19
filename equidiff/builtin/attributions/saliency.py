"""Saliency: the absolute value of the gradient."""

from __future__ import annotations

from captum.attr import Saliency

from equidiff.builtin.attributions.captum import Captum
from equidiff.contracts import BuildContext
from equidiff.registry.descriptors import Options


def build(argument: str | None, options: Options, context: BuildContext) -> Captum:
    """Build `saliency`."""
    return Captum(lambda scalar, samples: Saliency(scalar).attribute(samples), local=True)
