"""Input x gradient."""

from __future__ import annotations

from captum.attr import InputXGradient

from equidiff.builtin.attributions.captum import Captum
from equidiff.contracts import BuildContext
from equidiff.registry.descriptors import Options


def build(argument: str | None, options: Options, context: BuildContext) -> Captum:
    """Build `input_x_gradient`."""
    return Captum(lambda scalar, samples: InputXGradient(scalar).attribute(samples))
