"""Steps without a Jacobian of the generator, for samplers that work on pixels.

Their latents have the shape of their images, and a pixel depends most on the number in its own place, the more the
further it is from black and white. So the generator's Jacobian is estimated as a diagonal, `s x (1 - x)`. By Stein's
lemma the mean of `<x, z>` is that of its trace, which gives s. The Jacobian of the residuals is then that of the
objective, which costs a pass through the objective alone, times this diagonal. It is rough: its direction has a quarter
of the slope, and its length is right to a factor of two. Near the target that will do, as each evaluation corrects the
slope along the step.

References:
    Stein (1981), "Estimation of the mean of a multivariate normal distribution".
    https://doi.org/10.1214/aos/1176345632
    Broyden (1965), "A class of methods for solving nonlinear simultaneous equations".
"""

from __future__ import annotations

import itertools

from torch import Tensor

from equidiff.builtin.solvers.auto.trust_region import first_radius
from equidiff.contracts import Answer, Coroutine, ResidualFunction, Step
from equidiff.numerics.gaussian import project_onto_shell
from equidiff.numerics.newton import as_matrix, broyden_update, clip_step, newton_step

LEAST_NUMBERS = 256  # in a latent: the trace of one sample is off by one part in the root of this many, or so
TRIES = 4  # evaluations: with more, a Jacobian is cheaper
LONGEST = 0.1  # step, as a fraction of the root of the latent's size: along a longer one the slope is another
SLOPE_LEFT = 0.65  # of the slope that the diagonal promises, about: its other entries are not all in its favour
REACH = 1.0  # of pixels from grey; samples that are not rounded go beyond black and white
SIGNIFICANT = 2.0  # standard deviations that <x, z> must be above zero, which it is around where x ignores its place


def search_diagonal(here: Answer, residual: ResidualFunction, numbers: itertools.count[int]) -> Coroutine[Answer]:
    """Make steps by an estimated Jacobian, corrected after each of them, until solved or out of tries.

    Args:
        here: one row, the start.
        residual: c(z).
        numbers: of the steps.

    Returns:
        The best answer seen; the start where no estimate can be made.
    """
    diagonal = estimate_diagonal(here)
    if diagonal is None or here.loss.item() < residual.tolerance:
        return here
    seen = yield from residual.stored_jacobian(here)
    jacobian = as_matrix(diagonal * seen.sample_jacobian[0])
    for _ in range(TRIES):
        step = newton_step(here.residuals[0], jacobian).reshape(here.latents.shape)
        step, length = clip_step(step, first_radius(LONGEST, step))
        if length == 0:
            return here
        there = yield from residual.value(project_onto_shell(here.latents + step))
        jacobian = broyden_update(jacobian, here, there)
        here = there if there.loss.item() < here.loss.item() else here
        yield Step(next(numbers), here)
        if here.loss.item() < residual.tolerance:
            break
    return here


def estimate_diagonal(here: Answer) -> Tensor | None:
    """The derivative of each pixel with respect to the latent number in its place, `[*sample_shape]`.

    Args:
        here: one row.

    Returns:
        None where samples have another shape than latents, few numbers or numbers far outside [0, 1], are black and
        white, or are not seen to follow their latents.
    """
    sample, latent = here.samples[0].float(), here.latents[0]
    if sample.shape != latent.shape or sample.numel() < LEAST_NUMBERS or not ((sample - 0.5).abs() <= REACH).all():
        return None
    room = (sample * (1 - sample)).clamp(min=0)
    aligned = (sample * latent).sum()
    if aligned.item() <= SIGNIFICANT * sample.norm().item() or not room.any():
        return None
    return SLOPE_LEFT * aligned / room.sum() * room
