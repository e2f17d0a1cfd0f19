"""Agreement between maps: rank correlation, and overlap of their strongest pixels.

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
    """Absolute values of maps `[n, height, width]`, as `[n, pixels]`."""
    return maps.abs().flatten(1).double().numpy()


def rank_correlations(rows: Matrix) -> Matrix:
    """Spearman's correlation between all pairs of rows, `[n, n]`; ties share their mean rank.

    NaN where a row is constant, since it orders nothing.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.atleast_2d(np.corrcoef(rankdata(rows, axis=1)))


def overlaps(rows: Matrix, share: float = TOP) -> Matrix:
    """Share of the strongest pixels that two rows have in common, `[n, n]`, from 0 to 1.

    Pixels that tie for the last places count with the probability of getting one, so that the order of the pixels does
    not matter. Chance alone gives `share`.
    """
    count = max(1, round(share * rows.shape[1]))
    weights = np.stack([_top(row, count) for row in rows])
    return weights @ weights.T / count


def _top(row: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    last = np.partition(row, -count)[-count]
    above, tied = row > last, row == last
    return above + tied * ((count - above.sum()) / tied.sum())


def agreement(maps: Tensor, query: bool) -> dict[str, float]:
    """Measure how well the maps of one method agree.

    Args:
        maps: `[n, height, width]`, the query's first where there is one.
        query: the first map is the query's.

    Returns:
        `rank_correlation_members` and `overlap_members`, means over all pairs of members, and `rank_correlation_query`
        and `overlap_query`, means over all pairs of query and member. A number is absent if no pair has a value;
        constant maps have none.
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
        for side, each in pairs.items():
            known = each[~np.isnan(each)]
            if len(known):
                found[f"{name}_{side}"] = float(known.mean())
    return found
