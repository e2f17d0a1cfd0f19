"""Projection onto the set: c(z) = 0 by steps along given directions.

Latents are flat here, and in float64 on the CPU: what is computed of them is small beside a pass, and a chain must not
drift by rounding. What the network sees, and what a state of the chain holds, is float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from equidiff.contracts import Answer, Coroutine, JacobianAnswer, ResidualFunction
from equidiff.errors import EquiDiffError

Array = NDArray[np.float64]

ZERO_LOSS = (
    1e-6  # a loss of this share of the tolerance counts as zero: residuals a thousandth of what a member may have
)
MAX_PASSES = 20  # of a projection: with half as many, chains stay where the set is bent
MAX_NEWTON_STEPS, MAX_HALVINGS = 30, 8
FULL_RANK = 1e-10  # smallest eigenvalue of J J^T beside the largest; below it, float32 cannot tell it from zero


@dataclass(frozen=True)
class Point:
    """A latent on the set, and the shape of the set there.

    Attributes:
        answer: of a Jacobian, one row.
        latent: z, `[d]`.
        jacobian: J, `[r, d]`.
        gram: J J^T, `[r, r]`.
        log_volume: the logarithm of det(J J^T), to the half.
    """

    answer: JacobianAnswer
    latent: Array
    jacobian: Array
    gram: Array
    log_volume: float

    @classmethod
    def of(cls, answer: JacobianAnswer) -> Point | None:
        """Look at an answer that has a Jacobian; None where that has no full rank, so that the set has no tangent."""
        latent, jacobian = as_array(answer.latents), as_array(answer.jacobian[0].flatten(1))
        gram = jacobian @ jacobian.T
        if not np.isfinite(gram).all():
            return None
        sizes = np.linalg.eigvalsh(gram)
        if sizes[-1] <= 0 or sizes[0] < FULL_RANK * sizes[-1]:
            return None
        return cls(answer, latent.ravel(), jacobian, gram, 0.5 * float(np.log(sizes).sum()))

    def normal(self, vector: Array) -> Array:
        """Coefficients of the rows of J that add up to the vector's part across the set, `[r]`."""
        return np.linalg.solve(self.gram, self.jacobian @ vector).astype(np.float64, copy=False)

    def tangent(self, vector: Array) -> Array:
        """The vector's part along the set, `[d]`."""
        return vector - self.normal(vector) @ self.jacobian


def step_onto(start: Answer, residual: ResidualFunction) -> Coroutine[Point]:
    """From a member to a point on the set near it, by shortest Newton steps that are halved where they overshoot.

    Raises:
        EquiDiffError: none is found, or the set has no tangent there.
    """
    here = yield from residual.jacobian(start.latents)
    for _ in range(MAX_NEWTON_STEPS):
        point = Point.of(here)
        if point is None:
            raise EquiDiffError(
                "The residuals depend on each other where the search ended, so the law is not defined there."
            )
        if is_zero(here, residual):
            return point
        step = -np.linalg.solve(point.gram, as_array(here.residuals[0])) @ point.jacobian
        for halving in range(MAX_HALVINGS):
            there = yield from residual.value(latents_at(point.latent + step / 2**halving, here))
            if there.loss.item() < here.loss.item():
                break
        else:
            break
        here = yield from residual.jacobian(there.latents)
    raise EquiDiffError(
        f"The member could not be brought onto the set: its loss stays at {here.loss.item():.2g}, "
        f"and {ZERO_LOSS * residual.tolerance:.2g} is required."
    )


def project(
    base: Array, directions: Array, gram: Array, guess: Array, like: Answer, residual: ResidualFunction
) -> Coroutine[tuple[Answer, Array] | None]:
    """Find a with `c(base + a @ directions) = 0`, by forward passes alone.

    The derivative of c by a is corrected after each try by the change that was seen (Broyden). The result depends on
    the arguments alone, as a reversible chain needs it.

    Args:
        base: `[d]`.
        directions: `[r, d]`.
        gram: the derivative of c by a, to begin with, `[r, r]`.
        guess: a, to begin with, `[r]`.
        like: an answer whose latents have the shape and the device that latents must have.
        residual: c.

    Returns:
        The answer there, and a; None where it is not found.

    References:
        Broyden (1965), "A class of methods for solving nonlinear simultaneous equations".
    """
    derivative, amounts = gram.copy(), guess
    before, step = None, None
    for _ in range(MAX_PASSES):
        answer = yield from residual.value(latents_at(base + amounts @ directions, like))
        if is_zero(answer, residual):
            return answer, amounts
        now = as_array(answer.residuals[0])
        if not np.isfinite(now).all():
            return None
        if before is not None and step is not None:
            derivative += np.outer(now - before - derivative @ step, step) / max(float(step @ step), 1e-300)
        try:
            step = -np.linalg.solve(derivative, now)
        except np.linalg.LinAlgError:
            return None
        before, amounts = now, amounts + step
    return None


def is_zero(answer: Answer, residual: ResidualFunction) -> bool:
    """True where a latent counts as on the set."""
    return answer.loss.item() <= ZERO_LOSS * residual.tolerance


def latents_at(latent: Array, like: Answer) -> torch.Tensor:
    """A flat latent as a row that can be asked about."""
    return torch.from_numpy(latent).to(like.latents.device, torch.float32).reshape(1, *like.latents.shape[1:])


def as_array(tensor: torch.Tensor) -> Array:
    """A tensor as chains compute with it."""
    return tensor.detach().cpu().double().numpy()
