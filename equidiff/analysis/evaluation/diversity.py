"""Diversity: differences between members, beside those between as many prior samples."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from equidiff.analysis.evaluation.results import Metric, Results, mean_of
from equidiff.analysis.evaluation.sample_sets import SampleSets
from equidiff.metrics import (
    PerceptualDistance,
    bootstrap_interval,
    coverage,
    jackknife_interval,
    mean_pairwise_distance,
    vendi_score,
)
from equidiff.metrics.diversity import NEIGHBOURS, pairwise_interval, pairwise_ratio_interval
from equidiff.metrics.realism import mean_of_pairs

MOST_FOR_LPIPS = 32  # members compared by LPIPS: 496 pairs


def measure_diversity(sets: SampleSets, results: Results) -> None:
    """Add the group "diversity"."""
    n = len(sets.members)
    if n < 2:
        names = ("pairwise_distance", "pairwise_ratio", "lpips", "vendi", "coverage")
        results.skip("diversity", names, "it needs at least 2 members")
        return
    _add_distances(sets, results, n)
    _add_lpips(sets, results, min(n, MOST_FOR_LPIPS))
    _add_vendi(sets, results, n)
    _add_coverage(sets, results, n)


def _add_distances(sets: SampleSets, results: Results, n: int) -> None:
    own, prior = sets.members.features, sets.prior.features[:n]
    values = [mean_pairwise_distance(each) for each in (own, prior)]
    intervals = [pairwise_interval(each, sets.seed) for each in (own, prior)]
    metric = Metric("distance between members", values[0], "feature units", n, intervals[0], values[1], intervals[1])
    results.add("diversity", "pairwise_distance", metric)
    if values[1] == 0:
        results.skip("diversity", "pairwise_ratio", "all prior samples are alike")
        return
    ratio = pairwise_ratio_interval(own, prior, sets.seed)
    results.add("diversity", "pairwise_ratio", Metric("  over prior samples", values[0] / values[1], "", n, ratio, 1.0))


def _add_lpips(sets: SampleSets, results: Results, n: int) -> None:
    if not sets.kind.is_image:
        results.skip("diversity", "lpips", f"the samples are {sets.kind.plural}, not images")
        return
    if sets.lpips is None:
        results.skip("diversity", "lpips", "it needs AlexNet's weights: --lpips WEIGHTS.pth")
        return
    own, prior = (_pairwise_lpips(sets, sets.lpips, rows[:n]) for rows in (sets.samples, sets.prior_samples))
    weights = torch.ones(1, n, dtype=torch.float64)
    values = [mean_of_pairs(table, weights).item() for table in (own, prior)]
    intervals = [bootstrap_interval(partial(mean_of_pairs, table), n, seed=sets.seed) for table in (own, prior)]
    metric = Metric("LPIPS between members", values[0], "", n, intervals[0], values[1], intervals[1])
    results.add("diversity", "lpips", metric)


def _pairwise_lpips(sets: SampleSets, lpips: PerceptualDistance, samples: Tensor) -> Tensor:
    """LPIPS between all pairs of samples, `[rows, rows]`."""
    table = torch.zeros(len(samples), len(samples), dtype=torch.float64)
    first, second = torch.triu_indices(len(samples), len(samples), offset=1)
    values = sets.runner.apply(
        lambda pairs: lpips.between(*samples[pairs.cpu()].to(sets.runner.device).unbind(dim=1)),
        torch.stack([first, second], dim=1),
        "comparing pairs",
    )
    table[first, second] = values.double()
    return table + table.T


def count_pairs(members: int) -> int:
    """Number of pairs that LPIPS compares: of members, and of as many prior samples."""
    n = min(members, MOST_FOR_LPIPS)
    return n * (n - 1)


def _add_vendi(sets: SampleSets, results: Results, n: int) -> None:
    if not sets.kind.is_image:
        why = f"the cosine between {sets.kind.plural} says nothing about their distance"
        results.skip("diversity", "vendi", why)
        return
    own, prior = sets.members.features, sets.prior.features[:n]
    interval = None
    if n > 2:
        low, high = jackknife_interval(lambda rows: vendi_score(own[rows]), n)
        interval = max(low, 1.0), min(high, float(n))
    metric = Metric("Vendi score", vendi_score(own), f"of {n}", n, interval, vendi_score(prior))
    results.add("diversity", "vendi", metric)


def _add_coverage(sets: SampleSets, results: Results, n: int) -> None:
    reference = sets.reference.features
    if len(reference) <= NEIGHBOURS:
        results.skip("diversity", "coverage", f"it needs a reference of more than {NEIGHBOURS} samples")
        return
    own, prior = (coverage(each.features[:n], reference) for each in (sets.members, sets.prior))
    # the mean is over the rows of the reference, but the number is about the members
    metric = replace(mean_of("coverage of the reference", "share", own, prior), n=n)
    results.add("diversity", "coverage", metric)
