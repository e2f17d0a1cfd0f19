"""`--query prior`: the prior sample that a run asks about, where there is no other query."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from equidiff.contracts import Objective
from equidiff.errors import QueryError
from equidiff.images.convert import is_image, quantized
from equidiff.run.prior import COUNT
from equidiff.run.query import Query

PRIOR_QUERY = "prior"
WRITTEN = re.compile(rf"{PRIOR_QUERY}(?::(\d+))?")  # prior, or prior:12
HIGHEST, MEDIAN = "the highest", "the median"


def is_prior_query(query: Any) -> bool:
    """True for `prior`, the prior sample that is most worth asking about, and for `prior:INDEX`."""
    return isinstance(query, str) and WRITTEN.fullmatch(query) is not None


def choose_prior_query(query: str, samples: Tensor, objective: Objective, batch: int, saved: bool) -> tuple[str, Query]:
    """The prior sample that a query means.

    It has the highest measurement where the objective is sparse, or silent on half of the samples: there is little to
    ask about a unit that is silent. Else it has the median one.

    Args:
        query: as the user gave it.
        samples: `[COUNT, *sample_shape]`, those that the tolerance is taken from, before rounding.
        objective: measures them.
        batch: rows in one pass.
        saved: judge images as their files hold them.

    Returns:
        `prior:INDEX`, and the query.

    Raises:
        QueryError: there is no such sample, or none on which a sparse unit is active.
    """
    index = _index(query)
    order = ""
    if index is None:
        written = quantized(samples) if saved and is_image(samples) else samples
        with torch.no_grad():
            measured = torch.cat([objective.measure(rows).float().cpu() for rows in written.split(batch)])
        index, order = _most_worth_asking(measured, objective)
    source = f"prior sample {index}" + (f" ({order} of {COUNT})" if order else "")
    return f"{PRIOR_QUERY}:{index}", Query(source, samples[index : index + 1].float().cpu(), None)


def _index(query: str) -> int | None:
    written = WRITTEN.fullmatch(query)
    assert written is not None
    if written[1] is None:
        return None
    index = int(written[1])
    if index >= COUNT:
        raise QueryError(
            "There is no such prior sample.",
            given=query,
            expected=f"{PRIOR_QUERY}:INDEX with an index from 0 to {COUNT - 1}, or {PRIOR_QUERY}",
            hint=f"--query {PRIOR_QUERY}",
        )
    return index


def _most_worth_asking(measured: Tensor, objective: Objective) -> tuple[int, str]:
    """Index of a row of `[COUNT, m]`, and its place among the others."""
    finite = measured.isfinite().all(dim=1).nonzero()[:, 0]
    if not len(finite):
        raise QueryError(
            f"The objective does not give a finite value for any of {COUNT} prior samples.",
            given=", ".join(objective.names[:3]),
            expected="a query",
            hint="--query IMAGE.png",
        )
    values = measured[finite]
    means, median = values.mean(dim=1), values.median(dim=0).values
    single = len({name.partition("[")[0] for name in objective.names}) == 1
    silent = single and bool(means.min() == means.median() < means.max())
    if not (objective.sparse or silent):
        return int(finite[(values - median).square().sum(dim=1).argmin()]), MEDIAN
    if means.max() == means.min():
        raise QueryError(
            f"None of {COUNT} prior samples activates this unit more than another, so there is no query among them.",
            given=objective.names[0],
            expected="an image that activates it",
            hint="--query IMAGE.png, or --query top:FOLDER, the image of a folder that activates it most",
        )
    return int(finite[means.argmax()]), HIGHEST
