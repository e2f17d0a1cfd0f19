"""Tries near the target among rounded samples, each of which draws the rounding anew."""

from __future__ import annotations

import itertools

import torch

from equidiff.contracts import Answer, Coroutine, JacobianAnswer, ResidualFunction, Step
from equidiff.numerics.gaussian import project_onto_shell
from equidiff.numerics.newton import as_matrix, newton_step

TRIES = 6  # a forward pass each, where a restart costs several and a Jacobian
NEAR = 4.0  # tolerances: further away it is not rounding that steps fail by
ASIDE = 0.01  # of the latent's length, along the set: a third of a grey level or more, which redraws the rounding


def search_rounding(
    start: JacobianAnswer, residual: ResidualFunction, numbers: itertools.count[int]
) -> Coroutine[Answer]:
    """Try neighbours of a sample at which the linearised residual is zero, until one is a member.

    Rounding adds to each residual what no slope tells: a part that neighbours have in common, and a part of their own.
    The first is averaged over all that were seen, so that each try misses by its own part alone.

    Args:
        start: one row, where no Newton step helped. Further from the target, or without rounding, nothing is tried.
        residual: c(z), of rounded samples.
        numbers: of the steps.

    Returns:
        The best answer seen.
    """
    if not (residual.rounded and start.loss.item() < NEAR * residual.tolerance):
        return start
    jacobian = as_matrix(start.jacobian[0])
    here: Answer = start
    seen = [start.residuals[0]]  # moved back to the start along the slope
    for _ in range(TRIES):
        aside = residual.draw(1).flatten().to(start.latents.device)
        along = aside + newton_step(_change(jacobian, aside), jacobian)  # the part that changes no residual
        step = newton_step(torch.stack(seen).mean(dim=0), jacobian) + ASIDE * along
        there = yield from residual.value(project_onto_shell(start.latents + step.reshape(start.latents.shape)))
        seen.append(there.residuals[0] - _change(jacobian, (there.latents - start.latents).flatten()))
        here = there if there.loss.item() < here.loss.item() else here
        yield Step(next(numbers), here)
        if here.loss.item() < residual.tolerance:
            break
    return here


def _change(jacobian: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """The change of the linearised residual along a step, on the step's device."""
    return (jacobian @ step.cpu().double()).float().to(step.device)
