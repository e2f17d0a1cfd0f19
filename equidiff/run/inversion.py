"""Inversion of the query: the latent that a run with `--start query` starts from."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.contracts import Generator
from equidiff.errors import InexactInverseError, QueryError, UnsupportedError
from equidiff.numerics.gaussian import project_onto_shell
from equidiff.run.info import Inversion
from equidiff.run.query import Query, as_sample
from equidiff.search.problem import Problem
from equidiff.search.starts import QueryStart


@torch.no_grad()
def invert_query(query: Query, problem: Problem) -> tuple[QueryStart, Inversion]:
    """Find the query's latent, and measure how well it represents the query.

    Raises:
        UnsupportedError: the generator cannot invert samples, or not this one.
        QueryError: the query cannot be a sample of the generator, or its latent is not finite.
    """
    generator = problem.generator
    sample = as_sample(query, generator).to(problem.target.device)
    found = _invert(generator, sample)
    if not found.isfinite().all():
        raise QueryError("The latent of this query is not finite.", given=query.source, hint="--start prior")
    latent = project_onto_shell(found)
    answer = problem.value(latent)
    error = (answer.samples - sample).square().mean().sqrt() / sample.std(correction=0).clamp(min=1e-6)
    norm = found.norm() / found.numel() ** 0.5
    inversion = Inversion(round_trip=float(error), latent_norm=float(norm), loss=answer.loss.item())
    return QueryStart(latent.float().cpu()), inversion


def _invert(generator: Generator, sample: Tensor) -> Tensor:
    try:
        return generator.invert(sample)
    except InexactInverseError as error:
        return error.latents  # `round_trip` says how rough they are, and a warning does where that is much
    except UnsupportedError as error:
        raise UnsupportedError(
            f"The query's latent cannot be found. {error.problem}",
            given=error.given or type(generator).__name__,
            expected="a generator that inverts samples, such as toy:fashion, toy:circles, lightningdit or sd",
            hint="--start prior",
        ) from error
