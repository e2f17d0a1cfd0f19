"""Members, prior samples and the query in the plane in which their features vary most, for the report's map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from equidiff.analysis.evaluation.sample_sets import BatchRunner
from equidiff.analysis.prior_samples import prior_samples
from equidiff.contracts.sample_kind import CONTOUR, SampleKind
from equidiff.metrics.features import FeatureSpace
from equidiff.metrics.projection import principal_components
from equidiff.run.invariant_set import InvariantSet

FEWEST = 3  # points


def project(
    found: InvariantSet, kind: SampleKind, members: Tensor, space: FeatureSpace, runner: BatchRunner
) -> dict[str, Any] | None:
    """The part `map` of `metrics.json`; None for points that are in a plane already, and for fewer than three.

    Args:
        found: the members that are evaluated.
        kind: of the samples.
        members: their features.
        space: the space of the features.
        runner: computes those of the others.
    """
    shape = found.sample_shape
    if kind.overview(shape) == CONTOUR:
        return None
    prior = kind.rounded(prior_samples(found))
    query = prior[:0] if found.query is None else kind.rounded(kind.fit(found.query, shape))
    others = torch.cat([prior, query])
    features = [members, runner.apply(space.extract, others, "mapping samples")] if len(others) else [members]
    rows = torch.cat(features)
    if len(rows) < FEWEST:
        return None
    coordinates, shares = principal_components(rows)
    points = [[float(f"{x:.6g}") for x in row] for row in coordinates.tolist()]
    end = len(members) + len(prior)
    return {
        "space": space.name,
        "explained": [round(share, 4) for share in shares],
        "index": [record.index for record in found.members],
        "members": points[: len(members)],
        "prior": points[len(members) : end],
        **({"query": points[end]} if len(query) else {}),
    }
