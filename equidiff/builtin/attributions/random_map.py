"""A random map, the control for all other methods."""

from __future__ import annotations

import zlib
from typing import final

import torch
from torch import Tensor

from equidiff.builtin.attributions.descriptors import RandomOptions
from equidiff.contracts import Attribution, BuildContext, ScalarTarget
from equidiff.types import Attributions, Samples


def build(argument: str | None, options: RandomOptions, context: BuildContext) -> RandomMap:
    """Build `random`."""
    return RandomMap(options.seed)


@final
class RandomMap(Attribution):
    """Standard normal noise that is independent of the network; every method should do better.

    The same sample always gets the same map; different samples, however similar, get different maps.

    Args:
        seed: another seed gives another control.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def attribute(self, scalar: ScalarTarget, samples: Samples) -> Attributions:
        return torch.stack([self._draw(sample) for sample in samples.detach().cpu()]).to(samples)

    def _draw(self, sample: Tensor) -> Tensor:
        # torch's generator uses 32 bits of its seed
        stream = torch.Generator().manual_seed(zlib.crc32(sample.contiguous().numpy().tobytes(), self._seed))
        return torch.randn(1, *sample.shape[1:], generator=stream)
