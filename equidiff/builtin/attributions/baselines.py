"""Baselines: what a method compares a sample with, one uniform value or prior samples of the run's generator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from equidiff.builtin.attributions.descriptors import PRIOR, PriorBaselineOptions
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.errors import UnsupportedError
from equidiff.numerics.random import prior_samples
from equidiff.types import Samples


@final
class Baselines:
    """The baselines of a method with the option `baseline`: the same ones in every call.

    Args:
        options: of the method.
        context: with the run's generator.

    Raises:
        UnsupportedError: they are prior samples, and there is no generator to make them.
    """

    def __init__(self, options: PriorBaselineOptions, context: BuildContext) -> None:
        self._value = options.baseline
        drawn = options.baseline == PRIOR
        self._drawn = baseline_samples(context, options.baselines, options.seed) if drawn else None

    def like(self, samples: Samples) -> Iterator[Samples]:
        """Yield each baseline in the shape of the samples, the same one for every row."""
        if self._drawn is None:
            yield torch.full_like(samples, float(self._value))
            return
        for drawn in self._drawn.to(samples).split(1):
            yield drawn.expand_as(samples)


def baseline_samples(context: BuildContext, count: int, seed: int = 0) -> Samples:
    """Prior samples of the run's generator that serve as baselines, the same in every call.

    Raises:
        UnsupportedError: there is no generator to make them.
    """
    if context.generator is None:
        raise UnsupportedError("The baselines of this method are prior samples.", expected="a run with a generator")
    with torch.no_grad():
        return prior_samples(context.generator, count, seed, context.device)


@torch.no_grad()
def baseline_difference(scalar: ScalarTarget, samples: Samples, baseline: Samples) -> Tensor:
    """Difference between each sample's measurement and that of its baseline, `[batch]`."""
    return scalar(samples) - scalar(baseline)
