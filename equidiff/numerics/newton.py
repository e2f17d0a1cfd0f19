"""Newton steps on a linearised residual: the shortest one, clipped to a trust region, and Broyden's correction."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equidiff.contracts import Answer


def as_matrix(jacobian: Tensor) -> Tensor:
    """One Jacobian `[r, ...]` as the steps take it: `[r, d]`, float64, on the CPU.

    What is computed with it is small beside a pass, and Apple's GPUs have no float64.
    """
    return jacobian.flatten(1).cpu().double()


def newton_step(residuals: Tensor, jacobian: Tensor) -> Tensor:
    """The shortest move that zeroes the linearised residual: `-J^T (J J^T)^-1 c`.

    Args:
        residuals: c, `[r]`.
        jacobian: J, from `as_matrix`.

    Returns:
        `[d]`, float32, on the device of the residuals.
    """
    gram = jacobian @ jacobian.T
    # views of one image give nearly parallel rows; the damping keeps their small difference from blowing up the move
    damping = 1e-3 * gram.diagonal().mean().clamp(min=1e-30)
    gram = gram + damping * torch.eye(len(gram), dtype=gram.dtype)
    step = -jacobian.T @ torch.linalg.solve(gram, residuals.cpu().double())
    return step.float().to(residuals.device)


def broyden_update(jacobian: Tensor, before: Answer, after: Answer) -> Tensor:
    """The nearest Jacobian that explains the last move: `J + (dc - J dz) dz^T / |dz|^2`.

    References:
        Broyden (1965), "A class of methods for solving nonlinear simultaneous equations".
    """
    moved = (after.latents - before.latents).flatten().cpu().double()
    changed = (after.residuals - before.residuals)[0].cpu().double()
    return jacobian + torch.outer(changed - jacobian @ moved, moved) / moved.square().sum().clamp(min=1e-30)


def clip_step(move: Tensor, radius: float) -> tuple[Tensor, float]:
    """The move, no longer than the radius, and its length; 0 where there is no slope to follow."""
    length = float(move.norm())
    if not math.isfinite(length) or length == 0.0:
        return torch.zeros_like(move), 0.0
    return move * min(1.0, radius / length), min(length, radius)
