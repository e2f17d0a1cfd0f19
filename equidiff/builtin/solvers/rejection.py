"""`rejection`: prior samples until one is a member.

Where the target is a common value nothing is cheaper, and the samples that it keeps follow the prior given the target,
up to the tolerance. Every other method has to beat it.
"""

from __future__ import annotations

import itertools
from typing import final

from equidiff.contracts import BuildContext, Coroutine, Equation, ResidualFunction, SamplerRequest, Solver, Step, Value
from equidiff.registry.descriptors import Options
from equidiff.types import Latents


@final
class Rejection(Solver):
    """Draws latents from the prior and keeps the first that is within tolerance; no gradient is computed."""

    budget = 128

    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        best = yield from residual.value(latents)
        for number in itertools.count():
            yield Step(number, best)
            if best.loss.item() < residual.tolerance:
                return
            answer = yield from residual.value(residual.draw(1))
            if not answer.loss.item() >= best.loss.item():
                best = answer

    def costliest(self, equation: Equation) -> type[SamplerRequest]:
        """A forward pass."""
        return Value


def build(argument: str | None, options: Options, context: BuildContext) -> Solver:
    """Build `rejection`."""
    return Rejection()
