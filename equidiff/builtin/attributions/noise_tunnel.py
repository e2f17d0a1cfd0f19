"""A noise tunnel around another method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

from captum.attr import Attribution as CaptumAttribution
from captum.attr import NoiseTunnel
from captum.log import log_usage
from torch import Tensor

from equidiff.builtin.attributions.captum import quiet
from equidiff.builtin.attributions.descriptors import NoiseTunnelOptions
from equidiff.contracts import Attribution, BuildContext, ScalarTarget
from equidiff.errors import UsageError
from equidiff.types import Attributions, Latents, Samples


def build(argument: str | None, options: NoiseTunnelOptions, context: BuildContext) -> Tunnel:
    """Build `noise_tunnel:METHOD`.

    Raises:
        UsageError: the context cannot build the other method.
        UnknownNameError: there is no such method.
    """
    if context.attribution is None:
        raise UsageError("The context of 'noise_tunnel' cannot build the method that it wraps.", given=argument)
    return Tunnel(context.attribution(argument or "saliency"), options)


@final
class Tunnel(Attribution):
    """Mean, mean square or variance of a method's maps over noisy copies of a sample.

    Args:
        inner: the method.
        options: number of copies, noise, and statistic of their maps.
    """

    random = True

    def __init__(self, inner: Attribution, options: NoiseTunnelOptions) -> None:
        self._inner, self._options = inner, options
        self.local = inner.local

    def attribute(self, scalar: ScalarTarget, samples: Samples) -> Attributions:
        return self._tunnel(samples, lambda noisy: self._inner.attribute(scalar, noisy), scalar)

    def attribute_at(self, scalar: ScalarTarget, samples: Samples, latents: Latents) -> Attributions:
        return self._tunnel(samples, lambda noisy: self._inner.attribute_at(scalar, noisy, latents), scalar)

    def _tunnel(
        self, samples: Samples, explain: Callable[[Samples], Attributions], scalar: ScalarTarget
    ) -> Attributions:
        with quiet():
            return NoiseTunnel(_AsCaptum(explain, scalar, self.local)).attribute(
                samples,
                nt_type=self._options.type,
                nt_samples=self._options.samples,
                nt_samples_batch_size=1,  # the noise must not depend on how many copies fit into a pass
                stdevs=self._options.stdev,
            )


@final
class _AsCaptum(CaptumAttribution):
    """Adapter that lets Captum's noise tunnel call any method."""

    def __init__(self, explain: Callable[[Samples], Attributions], scalar: ScalarTarget, local: bool) -> None:
        super().__init__(scalar)
        self._explain, self._local = explain, local

    @property
    def multiplies_by_inputs(self) -> bool:
        return not self._local

    @log_usage()
    def attribute(self, inputs: Tensor, **others: Any) -> Tensor:
        return self._explain(inputs.detach())
