"""`rejection`: plain samples until one is a member.

Where the target is a common value nothing is cheaper, and what it keeps follows the prior given the target, up to the
tolerance. It is what every other method has to beat.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator as Coroutine
from typing import Any, final

from equidiff.contracts import BuildContext, Request, ResidualFunction, Solver, Step
from equidiff.registry.descriptors import Options
from equidiff.types import Latents


@final
class Rejection(Solver):
    """Draws latents from the prior and keeps the first that is within tolerance; no gradient is computed."""

    budget = 128
    tolerance = 1e-3

    def solve(
        self, latents: Latents, residual: ResidualFunction, budget: float
    ) -> Coroutine[Request | Step, Any, None]:
        best = yield from residual.value(latents)
        for number in itertools.count():
            yield Step(number, best)
            if best.loss.item() < residual.tolerance:
                return
            answer = yield from residual.value(residual.draw(1))
            if not answer.loss.item() >= best.loss.item():
                best = answer


def build(argument: str | None, options: Options, context: BuildContext) -> Solver:
    """Build `rejection`."""
    return Rejection()
