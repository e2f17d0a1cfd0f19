"""Statistics by which a query and its members are ranked: each treats all samples of a row alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from equidiff.contracts import BuildContext
from equidiff.metrics.features import FeatureSpace, build_features, default_features
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.session import Session

DIRECTIONS = 4  # projections of features
UNITS = 4  # others of the same network


@dataclass(frozen=True, eq=False)
class Statistics:
    """Numbers that order the samples of a row.

    Attributes:
        names: of each statistic.
        space: the name of the feature space.
        note: says why the space is not the generator's own network; None if there is nothing to say.
        compute: maps samples and latents of a row, a query and its members, to `[draws, statistics]`.
    """

    names: tuple[str, ...]
    space: str
    note: str | None
    compute: Callable[[Tensor, Tensor | None], Tensor]


@torch.no_grad()
def make_statistics(session: Session, features: str | None, latents: bool) -> Statistics:
    """The statistics of a calibration.

    They are projections of features to fixed random directions, or the features themselves where they are few, as of
    points; the distance to a prior sample; the distance to the mean of the query and its members; other units of the
    network; and the length of the latent.

    Args:
        session: of the searches.
        features: spec of the feature space; the default of `equidiff evaluate` when None.
        latents: those of the queries are known.
    """
    space, note = _space(session, features)
    problem, device = session.problem, session.device

    def describe(samples: Tensor) -> Tensor:
        return space.extract(samples.to(device)).double().cpu()

    latent = prior_latents(problem.generator, 1, 0, Stream.CALIBRATION_REFERENCE).to(device)
    reference = describe(problem.written(problem.generator.generate(latent)))
    directions = _directions(reference.shape[1])
    coordinates = reference.shape[1] <= DIRECTIONS
    units = _Units.of(session)
    names = [f"{'coordinate' if coordinates else 'projection'} {number + 1}" for number in range(len(directions))]
    names += ["distance to a prior sample", "distance to the common mean", *units.names]
    names += ["length of the latent"] if latents else []

    def compute(samples: Tensor, found: Tensor | None) -> Tensor:
        described = describe(samples)
        columns = [described @ directions.T, (described - reference).norm(dim=1, keepdim=True)]
        columns += [(described - described.mean(dim=0)).norm(dim=1, keepdim=True), units.measure(samples.to(device))]
        if latents and found is not None:
            columns.append(found.flatten(1).double().norm(dim=1, keepdim=True))
        return torch.cat(columns, dim=1)

    return Statistics(tuple(names), space.name, note, torch.no_grad()(compute))


def _space(session: Session, features: str | None) -> tuple[FeatureSpace, str | None]:
    context = BuildContext(session.device, session.context.dtype, session.problem.generator, [])
    if features is not None:
        return build_features(features, context), None
    return default_features(context, frozenset(file.sha256 for file in session.context.weights))


def _directions(size: int) -> Tensor:
    """Directions of length 1, `[directions, size]`: the axes where there are few."""
    if size <= DIRECTIONS:
        return torch.eye(size, dtype=torch.float64)
    drawn = torch.randn(DIRECTIONS, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return drawn / drawn.norm(dim=1, keepdim=True)


@dataclass(frozen=True)
class _Units:
    """A few other units of the layer that the objective measures."""

    names: tuple[str, ...]
    session: Session
    chosen: tuple[int, ...]

    @classmethod
    def of(cls, session: Session) -> _Units:
        shape = session.problem.generator.sample_shape
        found = session.problem.objective.others(torch.full((1, *shape), 0.5, device=session.device))
        if found is None:
            return cls((), session, ())
        order = torch.randperm(len(found[0]), generator=torch.Generator().manual_seed(0))[:UNITS].sort().values.tolist()
        return cls(tuple(f"unit {found[0][index]}" for index in order), session, tuple(order))

    def measure(self, samples: Tensor) -> Tensor:
        """Values of these units, `[draws, units]`."""
        found = self.session.problem.objective.others(samples) if self.chosen else None
        return torch.empty(len(samples), 0) if found is None else found[1][:, list(self.chosen)].double().cpu()
