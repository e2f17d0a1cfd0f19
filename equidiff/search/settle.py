"""The last steps of a member that a law left on the set: onto it again as its file holds it, rounded to 8 bits."""

from __future__ import annotations

from equidiff.contracts import Coroutine, ResidualFunction, Step
from equidiff.numerics.newton import as_matrix, newton_step

MAX_STEPS = 12


def settle(start: Step, residual: ResidualFunction) -> Coroutine[None]:
    """Make Newton steps until the rounded sample is a member; end at the nearest one seen where none is.

    Rounding shifts a measurement by some part of the tolerance, and by another part after any step, however short. So a
    step that does not help is not taken back: the next one begins where it led.

    Args:
        start: the last step of the law, on the set before rounding.
        residual: c(z), of rounded samples.
    """
    number = start.number + 1
    best = here = yield from residual.value(start.answer.latents)
    yield Step(number, here)
    while here.loss.item() >= residual.tolerance and number <= start.number + MAX_STEPS:
        number += 1
        there = yield from residual.jacobian(here.latents)
        step = newton_step(there.residuals[0], as_matrix(there.jacobian[0]))
        here = yield from residual.value(here.latents + step.reshape(here.latents.shape))
        best = here if here.loss.item() < best.loss.item() else best
        yield Step(number, here)
    if best is not here:
        yield Step(number + 1, best)
