"""`none`: no views and no penalty."""

from __future__ import annotations

from typing import final

from equidiff.contracts import BuildContext, Regularizer
from equidiff.registry.descriptors import Options


@final
class NoRegularizer(Regularizer):
    """The measurement must hold for the sample alone."""


def build(argument: str | None, options: Options, context: BuildContext) -> Regularizer:
    """Build `none`."""
    return NoRegularizer()
