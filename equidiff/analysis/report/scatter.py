"""Map of a run: members, prior samples and the query as marks on a plane, near each other where they are alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from equidiff.contracts.sample_kind import CONTOUR
from equidiff.metrics.projection import principal_components
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.wording import percent

FEWEST = 3  # points; fewer make no map
EDGE = 0.05  # of the side, free on all sides

Point = tuple[float, float]


@dataclass(frozen=True)
class Scatter:
    """Places of samples in the square from 0 to 1, y downwards.

    Attributes:
        members: one for each, in index order; None where it was not projected.
        prior: of the run's own prior samples.
        query: of the query, if there is one.
        about: a sentence about the space.
    """

    members: list[Point | None]
    prior: list[Point]
    query: Point | None
    about: str


def scatter_of(found: InvariantSet, prior: Tensor, metrics: dict[str, Any]) -> Scatter | None:
    """Map of a run: in the feature space of `equidiff evaluate` if it was run, else of what the kind is compared by.

    Args:
        found: the members on the page.
        prior: the run's own prior samples, float; may be empty.
        metrics: the content of `metrics.json`; empty if there is none.

    Returns:
        None for fewer than three points.
    """
    evaluated = _evaluated(found, len(prior), metrics)
    if evaluated is not None:
        return evaluated
    kind, shape = found.kind, found.sample_shape
    query = () if found.query is None else tuple(kind.fit(found.query, shape))
    rows = torch.stack([*found.samples, *prior, *query])
    if len(rows) < FEWEST:
        return None
    flat = kind.compared(rows)
    if kind.overview(shape) == CONTOUR:
        return _scatter(found, len(prior), flat.tolist(), "Coordinates of the points.")
    coordinates, shares = principal_components(flat)
    about = _about(kind.compared_by, shares)
    if kind.is_image:
        about += " After equidiff evaluate --features, a network's features take their place."
    return _scatter(found, len(prior), coordinates.tolist(), about)


def _space_in_words(space: str, compared_by: str) -> str:
    return space if space.startswith("pixels") or space == compared_by else f"features of {space}"


def _about(space: str, shares: Sequence[float]) -> str:
    return (
        f"First two principal components of members and prior samples by {space}; "
        f"they hold {percent(sum(shares))} of the variance."
    )


def _scatter(found: InvariantSet, prior: int, rows: Sequence[Sequence[float]], about: str) -> Scatter:
    places = _fit(rows)
    count = len(found)
    query = places[count + prior] if found.query is not None else None
    return Scatter([*places[:count]], places[count : count + prior], query, about)


def _fit(rows: Sequence[Sequence[float]]) -> list[Point]:
    """Scale points into the square with one scale for both axes; up is up."""
    points = torch.tensor(rows, dtype=torch.float64)
    low, high = points.amin(dim=0), points.amax(dim=0)
    span = float((high - low).max()) or 1.0
    scaled = 0.5 + (points - (low + high) / 2) / span * (1 - 2 * EDGE)
    return [(round(x, 4), round(1 - y, 4)) for x, y in scaled.tolist()]


class _Projected(BaseModel):
    """The part `map` of `metrics.json`."""

    model_config = ConfigDict(allow_inf_nan=False)

    space: str
    explained: list[float]
    index: list[int]
    members: list[Point]
    prior: list[Point]
    query: Point | None = None


def _evaluated(found: InvariantSet, prior: int, metrics: dict[str, Any]) -> Scatter | None:
    """The map that `equidiff evaluate` computed; None if it did not, or of another state of the run."""
    try:
        known = _Projected.model_validate(metrics.get("map"))
    except ValidationError:
        return None
    count = len(known.members)
    has_query = known.query is not None
    if len(known.index) != count or len(known.prior) != prior or has_query != (found.query is not None):
        return None
    rows = [*known.members, *known.prior, *([known.query] if known.query is not None else [])]
    if len(rows) < FEWEST:
        return None
    places = _fit(rows)
    by_index = dict(zip(known.index, places, strict=False))
    return Scatter(
        [by_index.get(record.index) for record in found.members],
        places[count : count + prior],
        places[-1] if has_query else None,
        _about(_space_in_words(known.space, found.kind.compared_by), known.explained),
    )
