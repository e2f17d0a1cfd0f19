"""One wrapper for Captum's methods, and what their factories share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor

from equidiff.contracts import Attribution, BuildContext, ScalarTarget
from equidiff.errors import UnsupportedError
from equidiff.types import Attributions, Samples

UNKNOWN_STEPS = (
    "It knows no rule for some non-linear step, such as a softmax or a GELU; of a class, output=logit may help"
)
SHORT = 0.1  # gap between the shares and their sum that is worth a word


@final
class Captum(Attribution):
    """A method of Captum's.

    Args:
        compute: maps the measurement and samples `[batch, channels, height, width]` to a tensor of that shape.
        local: see `Attribution`.
        random: see `Attribution`.
        places: it tells places but not channels apart: their values are the same, and one is kept.
    """

    def __init__(
        self,
        compute: Callable[[ScalarTarget, Samples], Tensor],
        *,
        local: bool = False,
        random: bool = False,
        places: bool = False,
    ) -> None:
        self._compute = compute
        self.local, self.random, self._places = local, random, places

    def attribute(self, scalar: ScalarTarget, samples: Samples) -> Attributions:
        with quiet():
            values = self._compute(scalar, samples.detach().clone()).detach().to(samples.dtype)
        return values[:, :1] if self._places else values


@contextmanager
def quiet() -> Iterator[None]:
    """Without Captum's warnings that it hooks a network and asks for gradients, which is its business."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"captum\b")
        yield


def warn_if_short(method: str, gaps: Tensor, differences: Tensor, remedy: str) -> None:
    """Warn where shares do not add up to what they are shares of.

    Args:
        method: its name.
        gaps: `[batch]`, the sum of the shares minus what they should add up to.
        differences: `[batch]`, what they should add up to.
        remedy: what may help.
    """
    lack = float(gaps.abs().sum() / differences.abs().sum().clamp(min=torch.finfo(gaps.dtype).tiny))
    if lack > SHORT:
        warnings.warn(
            f"the shares of {method} do not add up: they are {100 * lack:.0f} % off the measurement's distance from "
            f"that of the baseline. {remedy}",
            stacklevel=2,
        )


def plain_samples(context: BuildContext, count: int, seed: int = 0) -> Samples:
    """Samples of the run's generator to compare with, always the same.

    Raises:
        UnsupportedError: there is no generator to make them.
    """
    if context.generator is None:
        raise UnsupportedError("This method compares with plain samples of a generator.", expected="a run's generator")
    stream = torch.Generator().manual_seed(seed)
    latents = torch.randn(count, *context.generator.latent_shape, generator=stream)
    with torch.no_grad():
        return torch.cat([context.generator.generate(row.to(context.device)) for row in latents.split(4)])


@torch.no_grad()
def baseline_differences(scalar: ScalarTarget, samples: Samples, baseline: float) -> Tensor:
    """By how much each sample's measurement differs from that of a uniform baseline, `[batch]`."""
    return scalar(samples) - scalar(torch.full_like(samples, baseline))
