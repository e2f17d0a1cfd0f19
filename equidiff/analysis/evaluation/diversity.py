"""How different the members are from each other, beside as many prior samples."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from equidiff.analysis.evaluation.material import Material
from equidiff.analysis.evaluation.results import Metric, Results, mean_of
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

MOST_LOOKED_AT = 32  # members whose pairs LPIPS looks at: 496 pairs


def measure_diversity(material: Material, results: Results) -> None:
    """Add the group "diversity"."""
    n = len(material.members)
    if n < 2:
        names = ("pairwise_distance", "pairwise_ratio", "lpips", "vendi", "coverage")
        results.skip("diversity", names, "it needs at least 2 members")
        return
    _add_distances(material, results, n)
    _add_lpips(material, results, min(n, MOST_LOOKED_AT))
    _add_vendi(material, results, n)
    _add_coverage(material, results, n)


def _add_distances(material: Material, results: Results, n: int) -> None:
    own, plain = material.members.features, material.control.features[:n]
    values = [mean_pairwise_distance(each) for each in (own, plain)]
    intervals = [pairwise_interval(each, material.seed) for each in (own, plain)]
    metric = Metric("distance between two", values[0], "feature units", n, intervals[0], values[1], intervals[1])
    results.add("diversity", "pairwise_distance", metric)
    if values[1] == 0:
        results.skip("diversity", "pairwise_ratio", "prior samples are all alike")
        return
    ratio = pairwise_ratio_interval(own, plain, material.seed)
    results.add("diversity", "pairwise_ratio", Metric("  over prior samples", values[0] / values[1], "", n, ratio, 1.0))


def _add_lpips(material: Material, results: Results, n: int) -> None:
    if not material.images:
        results.skip("diversity", "lpips", "the samples are points, not pictures")
        return
    if material.lpips is None:
        results.skip("diversity", "lpips", "it needs AlexNet's weights: --lpips WEIGHTS.pth")
        return
    own, plain = (_look(material, material.lpips, rows[:n]) for rows in (material.samples, material.plain))
    everyone = torch.ones(1, n, dtype=torch.float64)
    values = [mean_of_pairs(table, everyone).item() for table in (own, plain)]
    intervals = [bootstrap_interval(partial(mean_of_pairs, table), n, seed=material.seed) for table in (own, plain)]
    metric = Metric("LPIPS of two", values[0], "", n, intervals[0], values[1], intervals[1])
    results.add("diversity", "lpips", metric)


def _look(material: Material, lpips: PerceptualDistance, samples: Tensor) -> Tensor:
    """LPIPS between any two samples, `[rows, rows]`."""
    table = torch.zeros(len(samples), len(samples), dtype=torch.float64)
    first, second = torch.triu_indices(len(samples), len(samples), offset=1)
    values = material.work.through(
        lambda pairs: lpips.between(*samples[pairs.cpu()].to(material.work.device).unbind(dim=1)),
        torch.stack([first, second], dim=1),
        "looking at pairs",
    )
    table[first, second] = values.double()
    return table + table.T


def count_pairs(members: int) -> int:
    """How many pairs of members and of prior samples LPIPS looks at."""
    n = min(members, MOST_LOOKED_AT)
    return n * (n - 1)


def _add_vendi(material: Material, results: Results, n: int) -> None:
    if not material.images:
        results.skip("diversity", "vendi", "the cosine of two points of the plane says nothing of their distance")
        return
    own, plain = material.members.features, material.control.features[:n]
    interval = None
    if n > 2:
        low, high = jackknife_interval(lambda rows: vendi_score(own[rows]), n)
        interval = max(low, 1.0), min(high, float(n))
    metric = Metric("Vendi score", vendi_score(own), f"of {n}", n, interval, vendi_score(plain))
    results.add("diversity", "vendi", metric)


def _add_coverage(material: Material, results: Results, n: int) -> None:
    reference = material.reference.features
    if len(reference) <= NEIGHBOURS:
        results.skip("diversity", "coverage", f"it needs a reference of more than {NEIGHBOURS}")
        return
    own, plain = (coverage(each.features[:n], reference) for each in (material.members, material.control))
    # what is averaged are the reference's rows; what it is a number about are the members
    metric = replace(mean_of("coverage of the reference", "share", own, plain), n=n)
    results.add("diversity", "coverage", metric)
