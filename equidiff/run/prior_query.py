"""Questions that prior samples answer: `--query prior`, one of them, and `--target p90`, a value of theirs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from equidiff.contracts import Generator, Objective
from equidiff.contracts.sample_kind import SampleKind
from equidiff.errors import QueryError, UsageError
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.query import Query
from equidiff.run.settings import Settings, is_percentile, parse_percentile
from equidiff.search.attempt import each_row

PRIOR_QUERY = "prior"
MOST_DIGITS = 9  # of a number that is read: Python refuses to read very long ones
WRITTEN = re.compile(rf"{PRIOR_QUERY}(?::(\d+))?")  # prior, or prior:12
SOURCE = re.compile(r"prior sample (\d+)(?: \(.*\))?")  # and what it is among them
HIGHEST, MEDIAN = "the highest", "the median"


def asks_prior(settings: Settings) -> bool:
    """True where the query or the target is taken from prior samples."""
    return is_percentile(settings.target) or (settings.target is None and is_prior_query(settings.query))


Written = Callable[[Tensor], Tensor]


def _as_they_are(samples: Tensor) -> Tensor:
    return samples


class Rows(Protocol):
    """Prior samples: a tensor, or those of a bank."""

    def __len__(self) -> int:
        """The number of samples."""

    def __getitem__(self, rows: slice, /) -> Tensor:
        """Some of them, `[rows, *sample_shape]`."""


def answer_from_prior(
    settings: Settings,
    samples: Rows,
    batch: int,
    objective: Objective,
    kind: SampleKind,
    measured: Tensor | None = None,
) -> tuple[Settings, Query | None]:
    """Settings with the query, or the target, that prior samples give; and the query.

    Args:
        settings: of the run.
        samples: before rounding.
        batch: rows in one pass.
        objective: measures them.
        kind: of the samples.
        measured: their measurements `[samples, m]`, where these are known.

    Raises:
        QueryError: there is no such sample, or none on which a sparse unit is active.
        UsageError: there is no such percentile.
    """
    written: Written = kind.rounded if settings.saved != "float" else _as_they_are
    if settings.target is not None:
        return replace(settings, target=percentile(settings.target, samples, objective, batch, written, measured)), None
    typed, query = choose_prior_query(settings.query, samples, objective, batch, written, measured)
    return replace(settings, query=typed), query


def percentile(
    target: str, samples: Rows, objective: Objective, batch: int, written: Written, measured: Tensor | None = None
) -> float:
    """The value below which a share of the prior samples lie.

    Args:
        target: such as `p90`.
        samples: before rounding.
        objective: measures them.
        batch: rows in one pass.
        written: samples as they are judged.
        measured: their measurements, where these are known.

    Raises:
        UsageError: the objective has several outputs, or its values are not finite.
    """
    share = parse_percentile(target) / 100
    if len(objective.names) > 1:
        raise UsageError(
            "A percentile is of one output.", given=f"{target}, of {len(objective.names)} outputs", expected="numbers"
        )
    values = _measure(samples, objective, batch, written, measured)[:, 0]
    finite = values[values.isfinite()].double()
    if not len(finite):
        raise _not_finite(objective, len(values))
    return float(f"{float(finite.quantile(share)):.6g}")


def is_prior_query(query: Any) -> bool:
    """True for `prior`, the prior sample that is most worth asking about, and for `prior:INDEX`."""
    return isinstance(query, str) and WRITTEN.fullmatch(query) is not None


def choose_prior_query(
    query: str, samples: Rows, objective: Objective, batch: int, written: Written, measured: Tensor | None = None
) -> tuple[str, Query]:
    """The prior sample that a query means.

    It has the highest measurement where the objective is sparse, or silent on half of the samples: there is little to
    ask about a unit that is silent. Else it has the median one.

    Args:
        query: as the user gave it.
        samples: those that the tolerance is taken from, before rounding.
        objective: measures them.
        batch: rows in one pass.
        written: samples as they are judged.
        measured: their measurements, where these are known.

    Returns:
        `prior:INDEX`, and the query.

    Raises:
        QueryError: there is no such sample, or none on which a sparse unit is active.
    """
    index = _index(query, len(samples))
    order = ""
    if index is None:
        index, order = _most_worth_asking(_measure(samples, objective, batch, written, measured), objective)
    source = f"prior sample {index}" + (f" ({order} of {len(samples)})" if order else "")
    return f"{PRIOR_QUERY}:{index}", Query(source, samples[index : index + 1].float().cpu(), None)


def prior_query_latent(source: str, generator: Generator) -> Tensor | None:
    """The latent of a query that is a prior sample, `[*latent_shape]`; None for another query.

    Args:
        source: of the query, as `choose_prior_query` gives it, of a run without a bank.
        generator: of the run.
    """
    number = SOURCE.fullmatch(source)
    return None if number is None else prior_latents(generator, int(number[1]) + 1, 0, Stream.SPREAD)[-1]


@torch.no_grad()
def _measure(samples: Rows, objective: Objective, batch: int, written: Written, measured: Tensor | None) -> Tensor:
    """Measurements `[samples, m]` of samples as they would be written, on the CPU; NaN where the objective raises."""
    if measured is not None:
        return measured
    rows = written(samples[:])
    unknown = torch.full((1, len(objective.names)), torch.nan)
    parts = [part for some in rows.split(batch) for part in each_row(objective.measure, some)]
    errors = [part for part in parts if isinstance(part, BaseException)]
    if len(errors) == len(parts):
        raise errors[0]
    return torch.cat([unknown if isinstance(part, BaseException) else part.float().cpu() for part in parts])


def _index(query: str, count: int) -> int | None:
    written = WRITTEN.fullmatch(query)
    assert written is not None
    if written[1] is None:
        return None
    index = int(written[1]) if len(written[1]) <= MOST_DIGITS else count
    if index >= count:
        raise QueryError(
            "There is no such prior sample.",
            given=query,
            expected=f"{PRIOR_QUERY}:INDEX with an index from 0 to {count - 1}, or {PRIOR_QUERY}",
            hint=f"--query {PRIOR_QUERY}",
        )
    return index


def _most_worth_asking(measured: Tensor, objective: Objective) -> tuple[int, str]:
    """Index of a row of `[COUNT, m]`, and its place among the others."""
    finite = measured.isfinite().all(dim=1).nonzero()[:, 0]
    if not len(finite):
        raise _not_finite(objective, len(measured))
    values = measured[finite]
    means, median = values.mean(dim=1), values.median(dim=0).values
    single = len({name.partition("[")[0] for name in objective.names}) == 1
    silent = single and bool(means.min() == means.median() < means.max())
    if not (objective.sparse or silent):
        return int(finite[(values - median).square().sum(dim=1).argmin()]), MEDIAN
    if means.max() == means.min():
        raise QueryError(
            f"None of {len(measured)} prior samples activates this unit more than another, so none can be the query.",
            given=objective.names[0],
            expected="an image that activates it",
            hint="--query IMAGE.png, or --query top:FOLDER, the image of a folder that activates it most",
        )
    return int(finite[means.argmax()]), HIGHEST


def _not_finite(objective: Objective, count: int) -> QueryError:
    return QueryError(
        f"The objective does not give a finite value for any of {count} prior samples.",
        given=", ".join(objective.names[:3]),
        expected="a query",
        hint="--query IMAGE.png",
    )
