"""A wrapper for Captum's methods, and helpers that their factories share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor

from equidiff.contracts import Attribution, ScalarTarget
from equidiff.types import Attributions, Samples

TOLERATED_GAP = 0.1  # of the difference that the attributions should sum to; a larger one is worth a warning


@final
class Captum(Attribution):
    """An attribution method that Captum computes.

    Args:
        compute: maps the measurement and samples `[batch, channels, height, width]` to a tensor of that shape.
        local: see `Attribution`.
        random: see `Attribution`.
        spatial: the method tells positions apart but not channels: their values are the same, and one is kept.
    """

    def __init__(
        self,
        compute: Callable[[ScalarTarget, Samples], Tensor],
        *,
        local: bool = False,
        random: bool = False,
        spatial: bool = False,
    ) -> None:
        self._compute = compute
        self.local, self.random, self._spatial = local, random, spatial

    def attribute(self, scalar: ScalarTarget, samples: Samples) -> Attributions:
        with quiet():
            values = self._compute(scalar, samples.detach().clone()).detach().to(samples.dtype)
        return values[:, :1] if self._spatial else values


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Captum's warnings that it sets hooks and requires gradients, which it undoes itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"captum\b")
        yield


def warn_if_incomplete(method: str, gaps: Tensor, differences: Tensor, remedy: Callable[[], str]) -> None:
    """Warn if attributions do not sum to the difference that they divide among the pixels.

    Args:
        method: name of the method.
        gaps: `[batch]`, the sum of the attributions minus the difference.
        differences: `[batch]`, the measurement of each sample minus that of its baseline.
        remedy: makes sentences about the cause or what may help; called if there is a gap.
    """
    lack = float(gaps.abs().sum() / differences.abs().sum().clamp(min=torch.finfo(gaps.dtype).tiny))
    if lack > TOLERATED_GAP:
        warnings.warn(
            f"the attributions of {method} do not add up: their sum differs by {100 * lack:.0f} % from the difference "
            f"between the measurements of sample and baseline. {remedy()}",
            stacklevel=2,
        )
