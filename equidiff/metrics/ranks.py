"""The rank test: whether samples given a value follow the law that the data have given it.

A query that was drawn from the data is itself a draw given its own measurement. So if a method draws from the right
law, the query and its members are exchangeable, and the rank of the query among them is uniform, by any statistic of a
single sample. No density needs to be known.

Ties are treated exactly. A query that shares its value with members has no single rank: its mass is spread evenly over
the ranks that it may take. The null distribution is that of the same test with another member of each row in the place
of the query, each with the same probability, which holds whatever ties there are and however the statistics depend on
each other. The expected chi squared is known too: without ties it is the number of members. A query with fewer members
than the others has fewer ranks, and each is spread over the part of theirs that it covers.

References:
    Talts et al. (2018), "Validating Bayesian inference algorithms with simulation-based calibration".
        https://arxiv.org/abs/1804.06788
    Phipson and Smyth (2010), "Permutation p-values should never be zero". https://doi.org/10.2202/1544-6115.1585
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

SHUFFLES = 4000

Values = Float[Tensor, "queries draws statistics"]
Present = Int[Tensor, " queries"]
Masses = Float[Tensor, "queries draws statistics ranks"]


@dataclass(frozen=True, eq=False)
class RankTest:
    """Ranks of queries among their own draws, and how unlikely they are if all are from one law.

    Attributes:
        counts: queries at each rank, `[statistics, ranks]`, float64; parts of one where there are ties.
        chi_squared: of each statistic, `[statistics]`.
        degrees: its expected value if all are from one law, `[statistics]`; the number of members without ties.
        p_values: of each statistic, `[statistics]`.
        p_value: of the sum of all.
    """

    counts: Float[Tensor, "statistics ranks"]
    chi_squared: Float[Tensor, " statistics"]
    degrees: Float[Tensor, " statistics"]
    p_values: Float[Tensor, " statistics"]
    p_value: float

    @property
    def ratio(self) -> float:
        """Chi squared of all statistics over its expected value: about 1 if all are from one law."""
        return float(self.chi_squared.sum() / self.degrees.sum())


def rank_test(values: Values, shuffles: int = SHUFFLES, seed: int = 0, *, present: Present | None = None) -> RankTest:
    """Test whether each query is exchangeable with its members.

    Args:
        values: statistics of single samples, `[queries, 1 + members, statistics]`: the query first, then its members.
            A statistic may use the whole row, such as its mean, as long as it treats all of the row alike.
        shuffles: draws from the null distribution.
        seed: of these.
        present: number of draws that each row has, which are its first, where some lack members; at least 2 each.

    Raises:
        ValueError: there is no query, or one has no member, or a value is not finite.
    """
    queries, draws, statistics = values.shape
    present = torch.full((queries,), draws) if present is None else present
    if queries < 1 or draws < 2:
        raise ValueError(f"ranks need a query and a member at least, and there are {queries} with {draws - 1} each")
    if int(present.min()) < 2 or int(present.max()) > draws:
        raise ValueError(f"ranks need rows of 2 to {draws} draws, and one has {int(present.min())}")
    if not values.isfinite().all():
        raise ValueError("a value that is ranked is not finite")
    masses = rank_masses(values, present)
    expected = queries / draws
    counts = masses[:, 0].sum(dim=0)
    found = ((counts - expected).square() / expected).sum(dim=-1)
    random = torch.Generator().manual_seed(seed)
    chosen = torch.randint(draws, (shuffles, queries), generator=random)
    short = (present < draws).nonzero()[:, 0]
    chosen[:, short] = (torch.rand(shuffles, len(short), generator=random) * present[short]).long()
    table = masses.reshape(queries * draws, -1)
    # some at a time: a weight for each draw and shuffle would fill the memory
    parts = [_chosen(rows, draws) @ table for rows in chosen.split(256)]
    shuffled = torch.cat(parts).reshape(shuffles, statistics, draws)
    null = ((shuffled - expected).square() / expected).sum(dim=-1)
    # a rounding of the sums must not tell equal values apart
    below = 1 - 1e-9
    each = (1 + (null >= found * below).sum(dim=0)).double() / (1 + shuffles)
    together = (1 + int((null.sum(dim=1) >= found.sum() * below).sum())) / (1 + shuffles)
    return RankTest(counts, found, _degrees(masses, present), each, together)


def rank_masses(values: Values, present: Present | None = None) -> Masses:
    """The distribution of the rank of each draw among the others of its row, `[queries, draws, statistics, ranks]`.

    Args:
        values: `[queries, draws, statistics]`.
        present: as for `rank_test`.

    Returns:
        Of each draw, 1 / (1 + ties) at each rank that it may take; with as many ranks as draws. Zero for a draw that is
        not there.
    """
    queries, draws, _ = values.shape
    present = torch.full((queries,), draws) if present is None else present
    ranks = torch.arange(draws, device=values.device)
    there = ranks < present[:, None]
    pairs = values[:, None] - values[:, :, None]  # [queries, draw, other, statistics]
    among = there[:, None, :, None]
    below, equal = ((pairs < 0) & among).sum(dim=2), ((pairs == 0) & among).sum(dim=2)  # itself is among the equal ones
    inside = (ranks >= below[..., None]) & (ranks < (below + equal)[..., None]) & there[:, :, None, None]
    masses = inside.double() / equal[..., None].clamp(min=1)
    for count in present[present < draws].unique().tolist():
        rows = present == count
        masses[rows] = masses[rows] @ _stretch(count, draws).to(masses)
    return masses


def _stretch(count: int, draws: int) -> Tensor:
    """Shares of each of a few ranks in each of more ranks, `[draws, draws]`; ranks beyond the few have none."""
    few, many = (torch.arange(number + 1, dtype=torch.float64) / number for number in (count, draws))
    overlap = torch.minimum(few[1:, None], many[1:]) - torch.maximum(few[:-1, None], many[:-1])
    return torch.cat([overlap.clamp(min=0) * count, torch.zeros(draws - count, draws, dtype=torch.float64)])


def _chosen(indices: Tensor, draws: int) -> Tensor:
    """Weights of draws of which one a row is chosen, `[shuffles, queries * draws]`."""
    weights = torch.zeros(*indices.shape, draws, dtype=torch.float64)
    return weights.scatter_(2, indices[:, :, None], 1.0).flatten(1)


def _degrees(masses: Masses, present: Present) -> Float[Tensor, " statistics"]:
    """Expected chi squared: the variance of the mass at each rank, over its mean, summed over rows and ranks."""
    queries, draws = masses.shape[:2]
    mean_square = masses.square().sum(dim=(1, 3)) / present[:, None]
    return (mean_square - 1 / draws).sum(dim=0) * draws / queries
