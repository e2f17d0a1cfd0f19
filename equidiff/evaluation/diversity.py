"""How different the members are from each other, beside as many plain samples."""

from __future__ import annotations

from dataclasses import replace

from equidiff.evaluation.material import Material
from equidiff.evaluation.results import Metric, Results, mean_of
from equidiff.metrics import coverage, jackknife_interval, mean_pairwise_distance, vendi_score
from equidiff.metrics.diversity import NEIGHBOURS, pairwise_interval, pairwise_ratio_interval


def measure_diversity(material: Material, results: Results) -> None:
    """Add the group "diversity"."""
    n = len(material.members)
    if n < 2:
        names = ("pairwise_distance", "pairwise_ratio", "vendi", "coverage")
        results.skip("diversity", names, "it needs at least 2 members")
        return
    _add_distances(material, results, n)
    _add_vendi(material, results, n)
    _add_coverage(material, results, n)


def _add_distances(material: Material, results: Results, n: int) -> None:
    own, plain = material.members.features, material.control.features[:n]
    values = [mean_pairwise_distance(each) for each in (own, plain)]
    intervals = [pairwise_interval(each, material.seed) for each in (own, plain)]
    metric = Metric("distance between two", values[0], "feature units", n, intervals[0], values[1], intervals[1])
    results.add("diversity", "pairwise_distance", metric)
    if values[1] == 0:
        results.skip("diversity", "pairwise_ratio", "plain samples are all alike")
        return
    ratio = pairwise_ratio_interval(own, plain, material.seed)
    results.add("diversity", "pairwise_ratio", Metric("  over that of plain", values[0] / values[1], "", n, ratio, 1.0))


def _add_vendi(material: Material, results: Results, n: int) -> None:
    if not material.images:
        results.skip("diversity", "vendi", "the cosine of two points of the plane says nothing of their distance")
        return
    own, plain = material.members.features, material.control.features[:n]
    interval = jackknife_interval(lambda rows: vendi_score(own[rows]), n) if n > 2 else None
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
