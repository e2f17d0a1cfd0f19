"""Sinusoidal embeddings: of time, of positions (added to tokens), and of positions for queries and keys (rotary)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

PERIOD = 10_000
TIME_FEATURES = 256


def time_features(time: Float[Tensor, " batch"]) -> Float[Tensor, "batch 256"]:
    """Cosines, then sines, of a time in [0, 1] at 128 frequencies; in float32 or wider."""
    half = TIME_FEATURES // 2
    wide = torch.promote_types(time.dtype, torch.float32)
    steps = torch.arange(half, dtype=torch.float32, device=time.device)
    frequencies = torch.exp(-math.log(PERIOD) * steps / half).to(wide)
    angles = time.to(wide)[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def sinusoidal_grid(grid: int, width: int) -> Float[Tensor, "positions width"]:
    """Embedding of each position of a grid, row by row: that of its column, then that of its row.

    Args:
        grid: positions along each side.
        width: width of the embedding, a multiple of 4.
    """
    quarter = width // 4
    frequencies = 1 / PERIOD ** (torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * frequencies
    code = torch.cat([angles.sin(), angles.cos()], dim=1)
    rows, columns = code[:, None].expand(-1, grid, -1), code[None].expand(grid, -1, -1)
    return torch.cat([columns, rows], dim=2).reshape(grid**2, width).float()


def rotary_tables(grid: int, size: int) -> tuple[Float[Tensor, "positions size"], Float[Tensor, "positions size"]]:
    """Cosines and sines that rotate queries and keys: those of a position's row, then those of its column.

    Args:
        grid: positions along each side.
        size: width of one head, a multiple of 4.
    """
    half = size // 2
    frequencies = 1 / PERIOD ** (torch.arange(0, half, 2).float() / half)
    angles = (torch.arange(grid).float()[:, None] * frequencies).repeat_interleave(2, dim=1)
    rows, columns = angles[:, None].expand(-1, grid, -1), angles[None].expand(grid, -1, -1)
    angles = torch.cat([rows, columns], dim=2).reshape(grid**2, size)
    return angles.cos(), angles.sin()


def signed_for_rotation(sines: Tensor) -> Tensor:
    """Sines with the signs that `rotate` needs: of each pair, the first is subtracted."""
    first, second = sines.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([-first, second], dim=-1).flatten(-2)


def rotate(features: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate each adjacent pair of features by its position's angles.

    Args:
        features: `[..., positions, size]`.
        cosines: of the angles, `[positions, size]`.
        sines: likewise, from `signed_for_rotation`.
    """
    swapped = features.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return torch.addcmul(features * cosines, swapped, sines)
