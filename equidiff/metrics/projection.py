"""Projection of features onto a plane, to draw them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def principal_components(
    features: Float[Tensor, "rows size"], count: int = 2
) -> tuple[Float[Tensor, "rows count"], list[float]]:
    """Project rows onto the directions in which they vary most.

    The sign of a component is free; here its largest coordinate is positive.

    Args:
        features: at least one row.
        count: number of components.

    Returns:
        Coordinates, float64, zero where the rows vary in fewer directions; and the share of the variance of each.
    """
    centred = features.double() - features.double().mean(dim=0)
    # rows are few and features many: the Gram matrix is the smaller one
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    order = values.argsort(descending=True)[:count]
    lengths = values[order].clamp(min=0)
    total = float(values.clamp(min=0).sum())
    coordinates = vectors[:, order] * lengths.sqrt()
    largest = coordinates.gather(0, coordinates.abs().argmax(dim=0, keepdim=True))
    coordinates = coordinates * torch.where(largest < 0, -1.0, 1.0)
    missing = count - coordinates.shape[1]
    shares = [float(length) / total if total > 0 else 0.0 for length in lengths] + [0.0] * missing
    return torch.nn.functional.pad(coordinates, (0, missing)), shares
