"""The two scores of XAI-TRIS: precision, and closeness by the earth mover's distance."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import eye as identity
from scipy.sparse import kron, vstack

from benchmarks.tris.data import SIDE

PLACES = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1).reshape(-1, 2)
DISTANCES = np.linalg.norm(PLACES[:, None] - PLACES[None], axis=-1)


def precision(importance: np.ndarray, truth: np.ndarray) -> float:
    """Share of the k most important pixels that matter, of k that matter; the mean over all orders of equal ones.

    Args:
        importance: not negative, `[64]`.
        truth: the pixels that matter, `[64]`, bool.
    """
    count = int(truth.sum())
    threshold = np.sort(importance)[-count]
    above, level = importance > threshold, importance == threshold
    left = count - int(above.sum())
    return float((truth & above).sum() + left * (truth & level).sum() / level.sum()) / count


def closeness(importance: np.ndarray, truth: np.ndarray) -> float:
    """1 minus the earth mover's distance to an even spread over the pixels that matter, relative to the largest.

    A map without any importance counts as an even one. Arguments are those of `precision`.
    """
    there = importance if importance.sum() > 0 else np.ones_like(importance)
    (wanted,) = truth.nonzero()
    costs = DISTANCES[:, wanted]
    pixels, targets = costs.shape
    sums = vstack([kron(identity(pixels), np.ones((1, targets))), kron(np.ones((1, pixels)), identity(targets))])
    amounts = np.concatenate([there / there.sum(), np.full(targets, 1 / targets)])
    # one equation follows from the others
    found = linprog(costs.reshape(-1), A_eq=sums.tocsr()[:-1], b_eq=amounts[:-1], method="highs")
    return 1 - float(found.fun) / float(DISTANCES.max())
