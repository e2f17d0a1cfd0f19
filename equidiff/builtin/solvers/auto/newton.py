"""Newton steps within a trust region, for few residuals."""

from __future__ import annotations

import itertools

from torch import Tensor

from equidiff.builtin.solvers.auto.diagonal import search_diagonal
from equidiff.builtin.solvers.auto.rounding import search_rounding
from equidiff.builtin.solvers.auto.trust_region import POOR_RATIO, first_radius, next_radius, over_relax
from equidiff.builtin.solvers.progress import Progress
from equidiff.contracts import Answer, Coroutine, JacobianAnswer, ResidualFunction, Step, TailResidual
from equidiff.numerics.gaussian import project_onto_shell
from equidiff.numerics.newton import as_matrix, broyden_update, clip_step, newton_step

FAR = 2.0  # the prior's standard deviations: a longer step is left to the intermediate states, where there are such


def search_newton(
    here: Answer, residual: ResidualFunction, numbers: itertools.count[int], radius: float
) -> Coroutine[Answer]:
    """Make Newton steps until solved, stalled, or far from the target where there is a better way.

    Args:
        here: one row, the start.
        residual: c(z), or c of intermediate states.
        numbers: of the steps.
        radius: the first trust radius, as a fraction of the root of the latent's size.

    Returns:
        The best answer seen.
    """
    trusted = first_radius(radius, here.latents[0, 0] if isinstance(residual, TailResidual) else here.latents[0])
    if not isinstance(residual, TailResidual):
        here = yield from search_diagonal(here, residual, numbers)
    progress = Progress(patience=1, loss=here.loss.item())
    while here.loss.item() >= residual.tolerance and not progress.stalled:
        if not isinstance(here, JacobianAnswer):  # where no step helped, it is known, and the radius is shorter
            here = yield from residual.jacobian(here.latents)
        jacobian, fresh = as_matrix(here.jacobian[0]), True
        while True:
            step = over_relax(newton_step(here.residuals[0], jacobian), len(jacobian)).reshape(here.latents.shape)
            if residual.splittable and float(step.norm()) > FAR:
                return here
            step, length = clip_step(step, trusted)
            if length == 0:
                return here
            there = yield from residual.value(_bounded(here.latents + step, residual))
            ratio = there.loss.item() / here.loss.item()
            trusted = next_radius(trusted, length, ratio)
            jacobian = broyden_update(jacobian, here, there)
            here = there if ratio < 1 else here
            yield Step(next(numbers), here)
            if here.loss.item() < residual.tolerance:
                return here
            # a corrected Jacobian is good for as long as it serves; a fresh one gets a second, shorter try
            if not (ratio < POOR_RATIO or fresh):
                break
            fresh = False
        if isinstance(here, JacobianAnswer):
            here = yield from search_rounding(here, residual, numbers)
        progress.note(here)
    return here


def _bounded(latents: Tensor, residual: ResidualFunction) -> Tensor:
    """Latents of a typical length; states, of which none is known, as they are."""
    return latents if isinstance(residual, TailResidual) else project_onto_shell(latents)
