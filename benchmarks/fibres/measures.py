"""The columns of the tables.

- members: samples within the tolerance, of all;
- fibre L2: root mean square over the outputs of the distance from the query's, its mean and its median over samples;
- passes: of the denoiser for a sample; a backward pass counts two, and the objective its share in matrix operations;
- S: the same in prior samples;
- ranked: queries whose samples are ranked;
- chi2/df and p: of the rank test (equidiff.metrics.ranks), of all statistics together; about 1 for the right law;
- W1: the 1-Wasserstein distance of each feature's distribution to the held-out data's, the mean over features;
- nearest %: percentile of a sample's distance to the nearest training row, among those of held-out rows; 50 is usual;
- AUC: of a classifier that tells samples from held-out rows, 0.5 where it cannot;
- seconds: wall time of all samples.

Two rows come first, for the last columns: as many rows of held-out data, which is as near as samples can come, and as
many prior samples, which is as near as the generator comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from methods import Found, fibre_distances
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from task import Task
from torch import Tensor

from equidiff.metrics.ranks import RankTest, rank_test
from equidiff.metrics.realism import nearest_distances, percentiles

Statistics = Callable[[Tensor], Tensor]


def measure(task: Task, found: Found, passes: int, statistics: Statistics) -> dict[str, Any]:
    """A row of the table.

    Args:
        task: the queries.
        found: the samples of a method.
        passes: denoiser passes of a prior sample.
        statistics: maps `[queries, draws, *sample_shape]` to `[queries, draws, statistics]` that are ranked.
    """
    distances = fibre_distances(task, found.samples)
    flat = found.samples.flatten(0, 1)
    good = flat.flatten(1).isfinite().all(dim=1)
    test, ranked = law(task, found, statistics)
    row = {
        "method": found.name,
        "members": f"{int(found.members.sum())}/{found.members.numel()}",
        "fibre L2": float(distances.nanmean()),
        "median": float(distances.nanmedian()),
        "passes": found.cost * passes,
        "S": found.cost,
        "ranked": ranked,
        "chi2/df": None if test is None else test.ratio,
        "p": None if test is None else test.p_value,
        "ranks": None if test is None else (test.counts.sum(dim=0) / test.counts.sum()).tolist(),
        "seconds": found.seconds,
    }
    return row | realism(task, flat[good])


def law(task: Task, found: Found, statistics: Statistics) -> tuple[RankTest | None, int]:
    """The rank test, over the queries all of whose samples are there, and their number.

    Of a solver only members are samples of the set; the samples of a soft method count as they are.
    """
    whole = found.samples.flatten(2).isfinite().all(dim=2).all(dim=1)
    if not found.soft:
        whole &= found.members.all(dim=1)
    if int(whole.sum()) < 2:
        return None, int(whole.sum())
    rows = torch.cat([task.queries[whole][:, None], found.samples[whole]], dim=1)
    return rank_test(statistics(rows)), int(whole.sum())


def realism(task: Task, samples: Tensor) -> dict[str, float]:
    """Distance to data: of each feature's distribution, of each sample to its nearest, and by a classifier.

    Samples of queries from the data have the data's distribution, if each has the right law given its query.
    """
    rows, reference, train = (each.flatten(1) for each in (samples, task.reference, task.train))
    usual = nearest_distances(reference, train)
    return {
        "W1": wasserstein(rows, reference),
        "nearest %": float(percentiles(nearest_distances(rows, train), usual).mean()),
        "AUC": two_sample_auc(rows, reference),
    }


def without_queries(name: str, task: Task, samples: Tensor, reference: Tensor) -> dict[str, Any]:
    """The row of samples that answer no query."""
    names = ("members", "fibre L2", "median", "passes", "S", "ranked", "chi2/df", "p", "ranks", "seconds")
    return {"method": name, **dict.fromkeys(names), **realism(replace(task, reference=reference), samples)}


def wasserstein(rows: Tensor, others: Tensor) -> float:
    """The mean over features of the 1-Wasserstein distance, by quantiles."""
    levels = (torch.arange(500) + 0.5) / 500
    return float((rows.quantile(levels, dim=0) - others.quantile(levels, dim=0)).abs().mean())


def two_sample_auc(rows: Tensor, others: Tensor, seed: int = 0) -> float:
    """Area under the curve of a classifier that tells two sets apart, in five folds: 0.5 where it cannot.

    References:
        Lopez-Paz and Oquab (2017), "Revisiting classifier two-sample tests". https://arxiv.org/abs/1610.06545
    """
    count = min(len(rows), len(others))
    if count < 10:
        return float("nan")
    random = np.random.default_rng(seed)
    parts = [each.numpy()[random.permutation(len(each))[:count]] for each in (rows, others)]
    labels = np.repeat([0, 1], count)
    classifier = HistGradientBoostingClassifier(max_iter=50, random_state=seed)
    scores = cross_val_predict(classifier, np.concatenate(parts), labels, cv=5, method="predict_proba")[:, 1]
    return float(roc_auc_score(labels, scores))
