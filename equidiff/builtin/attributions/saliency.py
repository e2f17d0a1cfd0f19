"""Saliency: the size of the gradient."""

from __future__ import annotations

from captum.attr import Saliency

from equidiff.builtin.attributions.captum import Captum
from equidiff.contracts import BuildContext
from equidiff.registry.descriptors import Options


def build(argument: str | None, options: Options, context: BuildContext) -> Captum:
    """Build `saliency`: the size of the gradient."""
    return Captum(lambda scalar, samples: Saliency(scalar).attribute(samples), local=True)
