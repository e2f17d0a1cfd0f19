"""The searches of a calibration: for each query a few members, and their statistics beside its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from equidiff.analysis.calibration.plan import MOST_QUERIES
from equidiff.analysis.calibration.queries import Queries
from equidiff.analysis.calibration.statistics import Statistics
from equidiff.run.inversion import invert_query
from equidiff.run.query import Query
from equidiff.run.session import Session
from equidiff.search.engine import MEMBER, Result

Number = Annotated[float, Field(allow_inf_nan=False)]


class Row(BaseModel):
    """A query and the members found for it: a line of `rows.jsonl`.

    Attributes:
        query: its number.
        name: of the query.
        seed: of its search; `equidiff run` with it finds the same members.
        asked: members that were searched for.
        banked: members that a bank had.
        evaluations: of the search.
        measured: of the query, then of its members, `[draws][m]`.
        values: statistics in the same order, `[draws][statistics]`; empty where the query cannot be used.
        error: says why it cannot be used.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: Annotated[int, Field(ge=0)]
    name: str
    seed: int
    asked: int
    banked: int = 0
    evaluations: Number = 0.0
    measured: list[list[Number]] = []
    values: list[list[Number]] = []
    error: str | None = None

    @property
    def found(self) -> int:
        """Members that were found."""
        return max(len(self.values) - 1, 0)


@dataclass(frozen=True)
class Experiment:
    """Searches for members of queries by one engine, solver and law.

    Attributes:
        session: of the searches, with any target.
        queries: the samples to ask about.
        statistics: by which samples are ranked.
        members: to search for each query.
    """

    session: Session
    queries: Queries
    statistics: Statistics
    members: int

    def row(self, number: int, tell: Callable[[int], None] = lambda _finished: None) -> Row:
        """Search for the members of one query.

        Args:
            number: of the query.
            tell: called with the number of searches finished.
        """
        name, seed = self.queries.names[number], self.seed(number)
        try:
            session = self._session(number, seed)
        except _Unusable as error:
            return Row(query=number, name=name, seed=seed, asked=0, error=str(error))
        results = []
        for event in session.run(range(self.members)):
            if isinstance(event, Result):
                results.append(event)
                tell(len(results))
        results.sort(key=lambda each: each.index)  # they come as they are finished
        measured, values = self._describe(number, session, results)
        if not torch.isfinite(values).all():
            reason = "a statistic of it, or of a member, is not finite"
            return Row(query=number, name=name, seed=seed, asked=0, error=reason)
        return Row(
            query=number,
            name=name,
            seed=seed,
            asked=self.members,
            banked=sum(each.status == MEMBER and each.banked is not None for each in results),
            evaluations=round(sum(each.cost.evaluations for each in results), 3),
            measured=measured.tolist(),
            values=values.tolist(),
        )

    def seed(self, number: int) -> int:
        """The seed of a query's search: another one for each, so that their members have nothing in common."""
        return self.session.settings.seed * MOST_QUERIES + number

    @torch.no_grad()
    def _session(self, number: int, seed: int) -> Session:
        base, sample = self.session, self.queries.samples[number : number + 1]
        problem, here = base.problem, sample.to(base.device)
        measured = [problem.objective.measure(each)[0].float() for each in (here, *problem.regularizer.views(here))]
        if not all(each.isfinite().all() for each in measured):
            raise _Unusable("the objective does not give a finite value for it")
        problem = replace(problem, target=measured[0], view_targets=tuple(measured[1:]))
        query = Query(self.queries.names[number], sample, None)
        start = None if base.start is None else invert_query(query, problem)[0]
        settings = replace(base.settings, seed=seed, samples=self.members)
        return replace(base, settings=settings, problem=problem, query=query, start=start)

    @torch.no_grad()
    def _describe(self, number: int, session: Session, results: list[Result]) -> tuple[Tensor, Tensor]:
        """Measurements and statistics of the query and of the members found, `[1 + members, ...]`."""
        answers = [each.answer for each in results if each.status == MEMBER and each.answer is not None]
        own = slice(number, number + 1)
        samples = torch.cat([self.queries.samples[own], *(session.problem.written(each.samples) for each in answers)])
        known = self.queries.latents
        latents = None if known is None else torch.cat([known[own], *(each.latents for each in answers)])
        measured = torch.cat([session.problem.target[None].cpu(), *(each.measurements for each in answers)])
        return measured, self.statistics.compute(samples, latents)


class _Unusable(Exception):
    """A query that nothing can be asked about."""


def share_missing(rows: list[Row]) -> float:
    """Share of the members searched for that were not found."""
    asked = sum(row.asked for row in rows)
    return 1 - sum(row.found for row in rows) / asked if asked else math.nan
