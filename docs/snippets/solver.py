"""`gauss-newton`: damped Gauss-Newton steps, in the place of a solver of your own."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, final

import torch
from equidiff.contracts import BuildContext, Coroutine, ResidualFunction, Solver, Step
from equidiff.types import Latents

if TYPE_CHECKING:
    from equidiff_gauss_newton.plugin import GaussNewtonOptions

FARTHEST = 5.0  # that a step leads


@final
class GaussNewtonSolver(Solver):
    """Take a part of the shortest step that would solve the linearised residual.

    Args:
        length: that part, above 0 and at most 1.
    """

    budget = 100  # evaluations that a sample may cost, unless users set another

    def __init__(self, length: float = 0.7) -> None:
        self.length = length

    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        """Yield a step for each iteration, until the loss is below the tolerance.

        Put your own method here. Ask the run by `yield from`: `residual.value(z)` for losses, `residual.gradient(z)`
        for the gradient of the loss too, `residual.jacobian(z)` for that of each residual. `residual.draw(count)` gives
        random latents at once, and is the only source of randomness. The run ends a solver whose budget is spent, and
        answers the requests of many samples in one batch.
        """
        z = latents
        for number in itertools.count():
            answer = yield from residual.jacobian(z)
            yield Step(number, answer)
            jacobian = answer.jacobian[0].flatten(1)
            if answer.loss.item() < residual.tolerance or not jacobian.isfinite().all():
                return
            step = self.length * torch.linalg.pinv(jacobian) @ answer.residuals[0]
            step = step * (FARTHEST / step.norm().clamp(min=FARTHEST))
            z = z - step.reshape(z.shape)


def build(argument: str | None, options: GaussNewtonOptions, context: BuildContext) -> Solver:
    """Build `gauss-newton`."""
    return GaussNewtonSolver(options.length)
