"""Noise: a tunnel of it around any method, and nothing but it."""

from __future__ import annotations

import zlib
from typing import Any, final

import torch
from captum.attr import Attribution as CaptumAttribution
from captum.attr import NoiseTunnel
from captum.log import log_usage
from torch import Tensor

from equidiff.attributions.captum import no_argument, quiet
from equidiff.builtin_attributions import NoiseTunnelOptions, RandomOptions
from equidiff.contracts import Attribution, BuildContext, Explained
from equidiff.errors import UsageError
from equidiff.types import Attributions, Samples


def build_noise_tunnel(argument: str | None, options: NoiseTunnelOptions, context: BuildContext) -> Tunnel:
    """Build `noise_tunnel:METHOD`.

    Raises:
        UsageError: outside of a command that can build the other method.
        UnknownNameError: there is no such method.
    """
    if context.attribution is None:
        raise UsageError("noise_tunnel needs somebody to build the method that it is around.", given=argument)
    return Tunnel(context.attribution(argument or "saliency"), options)


def build_random(argument: str | None, options: RandomOptions, context: BuildContext) -> RandomMap:
    """Build `random`."""
    no_argument("random", argument)
    return RandomMap(options.seed)


@final
class Tunnel(Attribution):
    """The mean of a method's maps over noisy copies of a sample, or the mean square, or the variance.

    Args:
        inner: the method.
        options: how many copies, how much noise, and what becomes of their maps.
    """

    random = True

    def __init__(self, inner: Attribution, options: NoiseTunnelOptions) -> None:
        self._inner, self._options = inner, options
        self.local = inner.local

    def attribute(self, explained: Explained, samples: Samples) -> Attributions:
        with quiet():
            return NoiseTunnel(_AsCaptum(self._inner, explained)).attribute(
                samples,
                nt_type=self._options.type,
                nt_samples=self._options.samples,
                nt_samples_batch_size=1,  # the noise must not depend on how many copies fit into a pass
                stdevs=self._options.stdev,
            )


@final
class _AsCaptum(CaptumAttribution):
    """Any method, as Captum's noise tunnel calls one."""

    def __init__(self, inner: Attribution, explained: Explained) -> None:
        super().__init__(explained)
        self._inner, self._explained = inner, explained

    @property
    def multiplies_by_inputs(self) -> bool:
        return not self._inner.local

    @log_usage()
    def attribute(self, inputs: Tensor, **others: Any) -> Tensor:
        return self._inner.attribute(self._explained, inputs.detach())


@final
class RandomMap(Attribution):
    """Standard normal noise that knows nothing of the network: what any method is to be better than.

    It is another map for every other sample, however near, and the same map for the same sample.

    Args:
        seed: for another control.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def attribute(self, explained: Explained, samples: Samples) -> Attributions:
        return torch.stack([self._draw(sample) for sample in samples.detach().cpu()]).to(samples)

    def _draw(self, sample: Tensor) -> Tensor:
        # torch's generator looks at 32 bits of its seed
        stream = torch.Generator().manual_seed(zlib.crc32(sample.contiguous().numpy().tobytes(), self._seed))
        return torch.randn(1, *sample.shape[1:], generator=stream)
