"""Anderson acceleration for x = f(x), separately for each row of a batch."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

MEMORY = 5  # differences of earlier iterates that an update uses
RIDGE = 1e-6  # regularizes the least squares when differences are nearly parallel


def solve_fixed_point(
    function: Callable[[Tensor], Tensor], start: Tensor, iterations: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Solve x = f(x) by Anderson acceleration: fixed-point iteration, extrapolated from the last few iterates.

    It converges faster than plain iteration, and often where plain iteration diverges.

    Args:
        function: maps `[batch, ...]` to the same shape, row by row.
        start: first guess, `[batch, ...]`.
        iterations: largest number of calls of the function.
        tolerance: relative change below which a row is solved.

    Returns:
        The rows, and the relative change of each by a call of the function, `[batch]`: a row that was not solved is
        the iterate that changed least.

    References:
        Walker and Ni (2011), "Anderson acceleration for fixed-point iterations". https://doi.org/10.1137/10078356X
    """
    shape = start.shape
    state = best = start.flatten(1)
    change = state.new_full((len(state),), torch.inf)
    states: list[Tensor] = []
    updates: list[Tensor] = []
    for _ in range(iterations):
        update = function(state.reshape(shape)).flatten(1) - state
        now = update.norm(dim=1) / (state + update).norm(dim=1).clamp(min=1e-12)
        better = (now < change) & (change >= tolerance)
        best, change = torch.where(better[:, None], state, best), torch.where(better, now, change)
        states, updates = [*states, state][-MEMORY - 1 :], [*updates, update][-MEMORY - 1 :]
        if not (change >= tolerance).any():
            break
        # a solved row stays, so that it does not depend on the others
        state = torch.where((change >= tolerance)[:, None], state + update - _extrapolated(states, updates), state)
    return best.reshape(shape), change


def _extrapolated(states: list[Tensor], updates: list[Tensor]) -> Tensor:
    """Correction to the next iterate, by least squares over the last ones, `[batch, size]`."""
    if len(updates) == 1:
        return torch.zeros_like(updates[0])
    changes = torch.stack([after - before for before, after in pairwise(updates)], dim=1)
    steps = torch.stack([after - before for before, after in pairwise(states)], dim=1)
    gram = changes @ changes.mT
    scale = gram.diagonal(dim1=1, dim2=2).mean(dim=1).clamp(min=1e-30)
    ridge = RIDGE * scale[:, None, None] * torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    coefficients = torch.linalg.solve(gram + ridge, changes @ updates[-1][:, :, None])
    return ((steps + changes).mT @ coefficients)[:, :, 0]
