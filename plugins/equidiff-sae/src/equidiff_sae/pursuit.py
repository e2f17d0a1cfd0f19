"""Matching pursuit, whose features are chosen one after the other."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff_sae.config import Pursuit


def pursue(rest: Float[Tensor, "rows d_in"], atoms: Float[Tensor, "d_sae d_in"], settings: Pursuit) -> Tensor:
    """Features `[rows, d_sae]`; differentiable, with the choices held fixed.

    Args:
        rest: normalised activations, of which each step subtracts one atom's share.
        atoms: rows of the decoder.
        settings: the number of steps, and what ends them earlier.

    References:
        Mallat and Zhang (1993), matching pursuit.
    """
    features = rest.new_zeros(len(rest), len(atoms))
    ended = torch.zeros(len(rest), dtype=torch.bool, device=rest.device)
    for _ in range(settings.steps):
        with torch.no_grad():
            products = rest @ atoms.T
            chosen = (products.relu() if settings.positive else products).max(dim=1).indices
        share = (rest * atoms[chosen]).sum(dim=1)
        share = (share.relu() if settings.positive else share) * ~ended
        before = features != 0
        features = features.scatter_add(1, chosen[:, None], share[:, None])
        rest = rest - share[:, None] * atoms[chosen]
        with torch.no_grad():
            if settings.settled:
                ended = ended | ((features != 0) == before).all(dim=1)
            if settings.threshold > 0:
                ended = ended | (rest.norm(dim=1) < settings.threshold)
        if ended.all():
            break
    return features
