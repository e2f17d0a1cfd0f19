"""Solving x = f(x), each row of a batch on its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

MEMORY = 5  # differences that a move is made from
RIDGE = 1e-6  # keeps near-parallel differences from spoiling a move


def solve_fixed_point(
    function: Callable[[Tensor], Tensor], start: Tensor, iterations: int, tolerance: float
) -> tuple[Tensor, Tensor]:
    """Anderson's method: plain iteration, less what the last few moves foretell.

    It converges where plain iteration does, faster, and often where that runs away.

    Args:
        function: maps `[batch, ...]` to the same shape, row by row.
        start: first guess, `[batch, ...]`.
        iterations: calls of the function at most.
        tolerance: a row is solved when the function moves it by less than this part of its length.

    Returns:
        The rows, and how far each was moved by the last call that counted for it, as a part of its length, `[batch]`.

    References:
        Walker and Ni (2011), "Anderson acceleration for fixed-point iterations". https://doi.org/10.1137/10078356X
    """
    shape = start.shape
    state = start.flatten(1)
    off = state.new_full((len(state),), torch.inf)
    states: list[Tensor] = []
    moves: list[Tensor] = []
    for _ in range(iterations):
        move = function(state.reshape(shape)).flatten(1) - state
        moving = off >= tolerance
        off = torch.where(moving, move.norm(dim=1) / (state + move).norm(dim=1).clamp(min=1e-12), off)
        states, moves = [*states, state][-MEMORY - 1 :], [*moves, move][-MEMORY - 1 :]
        if not (off >= tolerance).any():
            break
        # a solved row stays, so that it depends on no other
        state = torch.where((off >= tolerance)[:, None], state + move - _foretold(states, moves), state)
    return state.reshape(shape), off


def _foretold(states: list[Tensor], moves: list[Tensor]) -> Tensor:
    """The part of the next move that the last ones explain, `[batch, size]`."""
    if len(moves) == 1:
        return torch.zeros_like(moves[0])
    changes = torch.stack([after - before for before, after in pairwise(moves)], dim=1)
    steps = torch.stack([after - before for before, after in pairwise(states)], dim=1)
    gram = changes @ changes.mT
    scale = gram.diagonal(dim1=1, dim2=2).mean(dim=1).clamp(min=1e-30)
    ridge = RIDGE * scale[:, None, None] * torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    shares = torch.linalg.solve(gram + ridge, changes @ moves[-1][:, :, None])
    return ((steps + changes).mT @ shares)[:, :, 0]
