"""The query's own latent: where a run starts that is to walk away from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from equidiff.contracts import Generator
from equidiff.errors import QueryError, UnsupportedError
from equidiff.numerics.gaussian import project_onto_shell
from equidiff.run.query import Query, as_sample
from equidiff.search.problem import Problem
from equidiff.search.starts import QueryStart

DOUBTFUL = 0.1  # standard deviations: what the contract of generators asks of an inverse on their own samples


@dataclass(frozen=True)
class Inversion:
    """A query's latent, and how well it stands for the query.

    Attributes:
        start: where the run starts.
        round_trip: how far the sample that the latent gives is off the query, root mean square, in standard deviations
            of the query.
        latent_norm: |z| / sqrt(d) as the generator found it; where that is outside the central 99 % of the prior's
            lengths, the start has the nearest length within. 1 is typical.
        loss: of the sample that the latent gives, its views included.
    """

    start: QueryStart
    round_trip: float
    latent_norm: float
    loss: float

    @property
    def doubt(self) -> str | None:
        """What to warn of, if anything."""
        if self.round_trip < DOUBTFUL:
            return None
        return (
            f"What the query's latent gives is off the query by {self.round_trip:.2g} of its standard deviation: "
            "samples near that latent are not near the query."
        )

    def describe(self) -> dict[str, float]:
        """What `run.json` says of it."""
        return {"round_trip": self.round_trip, "latent_norm": self.latent_norm, "loss": self.loss}


@torch.no_grad()
def invert_query(query: Query, problem: Problem) -> Inversion:
    """Find the query's latent.

    Raises:
        UnsupportedError: the generator cannot invert samples, or not this one.
        QueryError: the query cannot be a sample of the generator's, or its latent is not finite.
    """
    generator = problem.generator
    sample = as_sample(query, generator).to(problem.target.device)
    found = _invert(generator, sample)
    if not found.isfinite().all():
        raise QueryError("The latent of this query is not finite.", given=query.source, hint="--start prior")
    latent = project_onto_shell(found)
    answer = problem.value(latent)
    off = (answer.samples - sample).square().mean().sqrt() / sample.std(correction=0).clamp(min=1e-6)
    norm = found.norm() / found.numel() ** 0.5
    return Inversion(QueryStart(latent.float().cpu()), float(off), float(norm), answer.loss.item())


def _invert(generator: Generator, sample: Tensor) -> Tensor:
    try:
        return generator.invert(sample)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"The query's latent cannot be found. {error.problem}",
            given=error.given or type(generator).__name__,
            expected="a generator that inverts samples, such as toy:fashion, toy:circles, lightningdit or sd",
            hint="--start prior",
        ) from error
