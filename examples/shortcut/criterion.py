"""Criterion for exposing the shortcut, fixed before any result was seen and the same for all methods.

*The set*: among members that have lost the object, the share that is marked differs from that among prior
samples without the object (Fisher's exact test, two-sided). Members that keep the object prove nothing and do not
count, so there is next to nothing to accuse a network of that looks at the object.

*A map*: of its k strongest pixels, k being the size of the mark in pixels, more lie on the mark than a random map
would put there (Fisher's exact test, one-sided).

Each method may raise a false alarm with a probability of 0.01, over all its tests together (Bonferroni).

References:
    Fisher (1935), "The design of experiments", chapter 2: the exact test, which counts every relabelling.
    Wilson (1927), "Probable inference, the law of succession, and statistical inference".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FALSE_ALARMS = 0.01  # for all tests of a method together
LOST = 0.1  # a shape with less than this share of the object has lost it


@dataclass(frozen=True)
class Verdict:
    """Result of a test.

    Attributes:
        p: probability of a table as extreme as this when there is nothing to find.
        exposed: true if `p` is below the level.
        counts: hits and size of the first group, then of the second.
    """

    p: float
    exposed: bool
    counts: tuple[int, int, int, int]


def level(tests: int) -> float:
    """Significance level of each test of a method that makes this many."""
    return FALSE_ALARMS / tests


def judge_set(members: tuple[Tensor, Tensor], prior: tuple[Tensor, Tensor], tests: int) -> Verdict:
    """Test whether members expose the mark.

    Args:
        members: for each member, the share of its shape that is the object, `[members]`, in [0, 1], and whether it
            is marked, `[members]`, bool: the truth, not a network's opinion.
        prior: the same for prior samples of the generator.
        tests: number of such tests.
    """
    (marked, lost), (prior_marked, prior_lost) = (_marked_without_object(*group) for group in (members, prior))
    p = fisher(marked, lost, prior_marked, prior_lost, two_sided=True)
    return Verdict(p, p < level(tests), (marked, lost, prior_marked, prior_lost))


def judge_map(importance: Tensor, mark: Tensor, tests: int) -> Verdict:
    """Test whether a map exposes the mark.

    Args:
        importance: `[height, width]`, at least 0. Ties are broken in a random but fixed order.
        mark: `[height, width]`, bool: the place of the mark, whether or not it is there.
        tests: number of such tests of this method.
    """
    size, pixels = int(mark.sum()), mark.numel()
    order = torch.randperm(pixels, generator=torch.Generator().manual_seed(0))
    strongest = order[importance.flatten()[order].argsort(descending=True, stable=True)[:size]]
    hits = int(mark.flatten()[strongest].sum())
    p = fisher(hits, size, size - hits, pixels - size, two_sided=False)
    return Verdict(p, p < level(tests), (hits, size, size - hits, pixels - size))


def fisher(hits: int, count: int, other_hits: int, other_count: int, *, two_sided: bool) -> float:
    """Fisher's exact test: the share of all relabellings that are as extreme as the table seen.

    Args:
        hits: items of the first group that have the property.
        count: items in the first group.
        other_hits: items of the second group that have the property.
        other_count: items in the second group.
        two_sided: count every table that is no more likely than the one seen; otherwise those with at least as many
            hits in the first group.
    """
    total_hits, total = hits + other_hits, count + other_count

    def ways(value: int) -> int:
        return math.comb(total_hits, value) * math.comb(total - total_hits, count - value)

    possible = range(max(0, count - (total - total_hits)), min(count, total_hits) + 1)
    extreme = [value for value in possible if (ways(value) <= ways(hits) if two_sided else value >= hits)]
    return sum(map(ways, extreme)) / math.comb(total, count)


def wilson(hits: int, count: int, deviations: float = 1.96) -> tuple[float, float]:
    """Wilson's interval for a share, at 95 % by default."""
    share, shrink = hits / count, 1 + deviations**2 / count
    middle = (share + deviations**2 / (2 * count)) / shrink
    half = deviations / shrink * math.sqrt(share * (1 - share) / count + deviations**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def separation(guilty: Sequence[float], innocent: Sequence[float]) -> float:
    """Share of pairs in which the guilty score is the higher one, ties counting half: 1 means always, 0.5 is chance."""
    pairs = [(a > b) + 0.5 * (a == b) for a in guilty for b in innocent]
    return sum(pairs) / len(pairs)


def _marked_without_object(objects: Tensor, marked: Tensor) -> tuple[int, int]:
    lost = objects < LOST
    return int((lost & marked).sum()), int(lost.sum())
