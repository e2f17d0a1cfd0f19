"""Diversity of the samples of a set, in a space of features `[rows, size]`."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.metrics.intervals import Pair, bootstrap_interval
from equidiff.metrics.realism import distances, mean_of_pairs

Features = Float[Tensor, "rows size"]
NEIGHBOURS = 5  # the choice of the authors of coverage
MANY = 1000  # rows, from which on eigenvalues are found in the space of the features if that is smaller


def mean_pairwise_distance(features: Features) -> float:
    """Mean distance between two different rows, of at least 2."""
    return mean_of_pairs(distances(features, features), torch.ones(1, len(features), dtype=torch.float64)).item()


def pairwise_interval(features: Features, seed: int = 0) -> Pair:
    """Bootstrap interval of `mean_pairwise_distance`."""
    table = distances(features, features)
    return bootstrap_interval(lambda weights: mean_of_pairs(table, weights), len(table), seed=seed)


def pairwise_ratio_interval(features: Features, prior: Features, seed: int = 0) -> Pair:
    """Bootstrap interval of `mean_pairwise_distance(features) / mean_pairwise_distance(prior)`."""
    tables = [distances(rows, rows) for rows in (features, prior)]
    return bootstrap_interval(
        lambda own, other: mean_of_pairs(tables[0], own) / mean_of_pairs(tables[1], other),
        len(features),
        len(prior),
        seed=seed,
    )


def vendi_score(features: Features) -> float:
    """Effective number of different rows: from 1, if all are equal, to their number, if all are orthogonal.

    It is the exponential of the entropy of the eigenvalues of K / n, where K holds the rows' cosines. It cannot exceed
    the number of rows, so compare sets of the same size.

    References:
        Friedman and Dieng (2023), "The Vendi Score", definition 3.1.
    """
    units = torch.nn.functional.normalize(features.double(), dim=1)
    rows, size = units.shape
    # X'X has the same eigenvalues as XX', but for zeros
    return _effective_number((units.T @ units if size < rows and rows > MANY else units @ units.T) / rows)


def vendi_of_kernel(kernel: Float[Tensor, "rows rows"]) -> float:
    """Vendi score of a kernel with a diagonal of 1."""
    return _effective_number(kernel.double() / len(kernel))


def _effective_number(matrix: Float[Tensor, "rows rows"]) -> float:
    """Exponential of the entropy of the eigenvalues, whose sum is 1."""
    return float(torch.special.entr(torch.linalg.eigvalsh(matrix).clamp(min=0)).sum().exp())


def coverage(features: Features, reference: Features, neighbours: int = NEIGHBOURS) -> Float[Tensor, " others"]:
    """Rows of the reference that have a row of the set closer to them than their own n-th neighbour.

    The mean is the coverage: 1 if the set is everywhere that the reference is. It grows with the size of the set.

    Args:
        features: the set.
        reference: more than `neighbours` rows.
        neighbours: the number n.

    Returns:
        1 for each row of the reference that is covered, 0 for the others.

    References:
        Naeem et al. (2020), "Reliable Fidelity and Diversity Metrics for Generative Models", eq. 8.
    """
    own = distances(reference, reference)
    radii = own.kthvalue(neighbours + 1, dim=1).values  # the nearest row is the row itself
    return (distances(reference, features).amin(dim=1) <= radii).double()
