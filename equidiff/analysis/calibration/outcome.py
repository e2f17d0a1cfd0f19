"""The outcome of a calibration: ranks, their test, and a verdict in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from equidiff.analysis.calibration.search import Row, share_missing
from equidiff.metrics.ranks import RankTest, rank_test

LEVEL = 0.01  # below which the law is rejected, by all tests together
MOST_MISSING = 0.1  # share of the members above which those found may not be the typical ones
FEW = 32  # queries with which only large errors are seen
SHELL = 0.25  # of a statistic's spread in a set, which the tolerance may explain
FEWEST_FOR_SHELL = 16  # queries from which that is judged

Outcome = Literal["not rejected", "rejected", "no verdict"]
NOT_REJECTED: Outcome = "not rejected"


@dataclass(frozen=True)
class Ranked:
    """One statistic of a calibration.

    Attributes:
        name: of the statistic.
        counts: queries at each rank among their members, from the lowest; parts of one where there are ties.
        chi_squared: of the counts.
        expected: its mean if the law is right.
        p: its p value.
        mean_rank: of the queries, from 0, the lowest, to 1; a half if the law is right.
        centred: mean squared distance of the rank from the middle over that of even ranks, 1 if the law is right.
    """

    name: str
    counts: list[float]
    chi_squared: float
    expected: float
    p: float
    mean_rank: float
    centred: float


@dataclass(frozen=True)
class Calibration:
    """The outcome of all statistics.

    Attributes:
        outcome: "not rejected", "rejected" or "no verdict".
        sentence: the verdict for people.
        p: of all statistics together and of each, corrected for their number; None without a test.
        chi_squared_ratio: chi squared of all statistics over its expected value, about 1 for the right law.
        statistics: those that were tested.
        excluded: names of those that were not, each with the reason.
        queries: those with a rank, and those without.
        members: numbers asked and found, and those from a bank.
        missing: share of the members that were not found.
        evaluations: mean cost of a member searched for.
    """

    outcome: Outcome
    sentence: str
    p: float | None
    chi_squared_ratio: float | None
    statistics: tuple[Ranked, ...]
    excluded: dict[str, str]
    queries: dict[str, int]
    members: dict[str, int]
    missing: float | None
    evaluations: float | None

    def to_json(self) -> dict[str, Any]:
        """All of it, for `calibration.json`."""
        return asdict(self)


def conclude(rows: Sequence[Row], names: Sequence[str], within: float, spread: float) -> Calibration:
    """Test the ranks of queries among their members.

    Args:
        rows: one a query.
        names: of the statistics.
        within: distance from the target within which a member lies.
        spread: of the measurement over prior samples.
    """
    used = [row for row in rows if row.found >= 1]
    kept = list(range(len(names)))
    excluded: dict[str, str] = {}
    test = None
    if used:
        values, present = _table(used)
        excluded = _excluded(used, values, names, within / spread if spread > 0 else 0.0)
        kept = [place for place in kept if names[place] not in excluded]
        test = rank_test(values[:, :, kept], present=present) if kept else None
    ranked = () if test is None else tuple(_ranked(test, each, names[place]) for each, place in enumerate(kept))
    p = None if test is None else min(1.0, (len(ranked) + 1) * min(test.p_value, *(each.p for each in ranked)))
    ratio = None if test is None else test.ratio
    missing = share_missing(list(rows))
    outcome, sentence = _verdict(ranked, p, ratio, missing, len(used))
    asked = sum(row.asked for row in rows)
    return Calibration(
        outcome,
        sentence,
        p,
        ratio,
        ranked,
        excluded,
        {"ranked": len(used), "without": len(rows) - len(used)},
        {"asked": asked, "found": sum(row.found for row in rows), "banked": sum(row.banked for row in rows)},
        None if math.isnan(missing) else missing,
        sum(row.evaluations for row in rows) / asked if asked else None,
    )


def _table(rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Values `[queries, draws, statistics]`, zero where a member lacks, and the draws that each row has."""
    tables = [torch.tensor(row.values, dtype=torch.float64) for row in rows]
    present = torch.tensor([len(table) for table in tables])
    return torch.nn.utils.rnn.pad_sequence(tables, batch_first=True), present


def _excluded(rows: Sequence[Row], values: Tensor, names: Sequence[str], within: float) -> dict[str, str]:
    """Statistics that say nothing, and those that the measurement nearly determines, each with the reason.

    A query lies in the middle of the tolerance, and its members anywhere within it. A statistic that hardly varies for
    a fixed measurement would tell the one from the others by that, whatever their law. The variance that is left is
    estimated from pairs of queries that are neighbours by their measurement (Rice 1984).
    """
    found: dict[str, str] = {}
    queries = values[:, 0]
    measured = torch.tensor([row.measured[0] for row in rows], dtype=torch.float64)
    distances = torch.cdist(measured, measured)
    distances.fill_diagonal_(math.inf)
    nearest = distances.argmin(dim=1)
    for place, name in enumerate(names):
        if (values[:, :, place] == values[0, 0, place]).all():
            found[name] = "it is the same for all samples"
            continue
        variance = float(queries[:, place].var()) if len(rows) > 1 else 0.0
        left = float((queries[:, place] - queries[nearest, place]).square().mean()) / 2
        explained = within * math.sqrt(max(variance - left, 0.0))
        if len(rows) >= FEWEST_FOR_SHELL and explained > SHELL * math.sqrt(left):
            found[name] = "the measurement nearly determines it: the tolerance alone would tell query and members apart"
    return found


def _ranked(test: RankTest, place: int, name: str) -> Ranked:
    counts = test.counts[place]
    middle = (torch.arange(len(counts), dtype=torch.float64) + 0.5) / len(counts)
    share = counts / counts.sum()
    mean = float((share * middle).sum())
    even = float((middle - 0.5).square().mean())
    return Ranked(
        name,
        [round(each, 6) for each in counts.tolist()],
        float(test.chi_squared[place]),
        float(test.degrees[place]),
        float(test.p_values[place]),
        mean,
        float((share * (middle - 0.5).square()).sum()) / even if even else 1.0,
    )


def _verdict(
    ranked: Sequence[Ranked], p: float | None, ratio: float | None, missing: float, queries: int
) -> tuple[Outcome, str]:
    if p is None or ratio is None:
        return "no verdict", "No verdict: there is no query with a member to rank it among."
    if missing > MOST_MISSING:
        return "no verdict", (
            f"No verdict: {missing:.0%} of the members were not found, and those that were found may not be typical."
        )
    if p >= LEVEL:
        return "not rejected", (
            f"The law is not rejected: the ranks of {queries} queries among their members are as even as chance "
            f"makes them (p = {p:.2g}, chi squared {ratio:.2f} of what is expected)."
        )
    worst = min(ranked, key=lambda each: (each.p, -each.chi_squared / max(each.expected, 1e-9)))
    return "rejected", (
        f"The law is rejected (p = {p:.2g}, chi squared {ratio:.2f} of what is expected): by '{worst.name}', "
        f"{describe(worst, queries)}."
    )


def describe(ranked: Ranked, queries: int) -> str:
    """Say in words how the members of a statistic differ from their queries."""
    # in standard errors: the variance of an even rank is 1/12, that of its squared distance from the middle 1/180
    shift = (ranked.mean_rank - 0.5) * math.sqrt(12 * queries)
    width = (ranked.centred - 1) / 12 * math.sqrt(180 * queries)
    if max(abs(shift), abs(width)) < 2:
        return "the ranks of queries among members are uneven"
    if abs(shift) >= abs(width):
        return f"members have {'smaller' if shift > 0 else 'larger'} values than their query too often"
    return f"members are spread too {'narrowly' if width > 0 else 'widely'} for their query"
