"""How much maps agree: rank correlation, and overlap of their strongest pixels.

Importance is a map's absolute value: what lowers the measurement counts as much as what raises it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

TOP = 0.1  # of all pixels
Matrix = NDArray[np.float64]


def importance(maps: Tensor) -> Matrix:
    """`[n, height, width]` to `[n, pixels]`, none below zero."""
    return maps.abs().flatten(1).double().numpy()


def rank_correlations(rows: Matrix) -> Matrix:
    """Spearman's correlation between all pairs of rows, `[n, n]`; ties share their mean rank.

    Not a number where a row is constant: it puts nothing in order.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.atleast_2d(np.corrcoef(rankdata(rows, axis=1)))


def overlaps(rows: Matrix, share: float = TOP) -> Matrix:
    """Share of the strongest pixels that two rows have in common, `[n, n]`, from 0 to 1.

    Of pixels that tie for the last places each counts with its chance to get one, so that the order of the pixels does
    not matter; chance alone gives `share`.
    """
    count = max(1, round(share * rows.shape[1]))
    weights = np.stack([_top(row, count) for row in rows])
    return weights @ weights.T / count


def _top(row: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    last = np.partition(row, -count)[-count]
    above, tied = row > last, row == last
    return above + tied * ((count - above.sum()) / tied.sum())


def agreement(maps: Tensor, query: bool) -> dict[str, float]:
    """How a method's maps agree.

    Args:
        maps: `[n, height, width]`, the query's first where there is one.
        query: whether there is one.

    Returns:
        `rank_correlation_members` and `overlap_members`, means over all pairs of members, and `rank_correlation_query`
        and `overlap_query`, means over all members beside the query. Absent where no pair has a value; maps that are
        constant have none.
    """
    rows = importance(maps)
    # a constant map has no strongest pixels
    flat = rows.min(axis=1) == rows.max(axis=1)
    found: dict[str, float] = {}
    for name, matrix in (("rank_correlation", rank_correlations(rows)), ("overlap", overlaps(rows))):
        values = np.where(flat[:, None] | flat[None], np.nan, matrix)
        members = values[1:, 1:] if query else values
        pairs = {
            "members": members[np.triu_indices(len(members), 1)],
            "query": values[0, 1:] if query else np.array([]),
        }
        for whom, each in pairs.items():
            known = each[~np.isnan(each)]
            if len(known):
                found[f"{name}_{whom}"] = float(known.mean())
    return found
