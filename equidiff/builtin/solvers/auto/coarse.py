"""The residual with fewer sampler steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

from equidiff.contracts import Candidates, Coroutine, Request, ResidualFunction, SamplerRequest, StoredJacobian
from equidiff.errors import UnsupportedError
from equidiff.types import Latents


@final
class CoarseResidual(ResidualFunction):
    """The same residual, of a sampler that makes fewer steps; it cannot be split.

    Args:
        residual: c(z).
        steps: of the sampler.
    """

    def __init__(self, residual: ResidualFunction, steps: int) -> None:
        self.tolerance, self.size = residual.tolerance, residual.size
        self._residual, self._steps = residual, steps

    def draw(self, count: int) -> Latents:
        return self._residual.draw(count)

    def _ask(self, request: Request) -> Coroutine[Any]:
        if isinstance(request, StoredJacobian):  # of a coarse sample, which need not be made again
            return (yield from self._residual._ask(request))
        if not isinstance(request, SamplerRequest | Candidates):
            raise UnsupportedError("A coarse sampler cannot be asked for this.", given=type(request).__name__)
        return (yield from self._residual._ask(replace(request, steps=self._steps)))
