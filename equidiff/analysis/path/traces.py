"""Movement along a path while the measurement stands still: classes, and other units of the layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from equidiff.run.session import Session
from equidiff.types import Samples

MOST = 10  # classes and units that are kept, those that move most
RARE = 0.01  # probability that a class must reach in some frame


@torch.no_grad()
def trace(session: Session, samples: Samples) -> dict[str, Any]:
    """The part `traces` of `path.json`: for `classes` and `units`, `names` and a row of `values` for each frame.

    A part is absent where the network has no classes, or the objective knows no other units.

    Args:
        session: the run's components.
        samples: of the frames, `[frames, *sample_shape]`; not-a-number where one failed, whose values are null.
    """
    found: dict[str, Any] = {}
    predictor = session.predictor
    if predictor is not None:
        probabilities = _apply(session, predictor.probabilities, samples)
        likely = (probabilities.nan_to_num() >= RARE).any(dim=0)
        found["classes"] = _describe(predictor.names, probabilities, likely)
    others = session.problem.objective.others(samples[:1].to(session.device))
    if others is not None:
        names = others[0]
        values = _apply(session, lambda rows: _values(session, rows), samples)
        found["units"] = _describe(names, values, torch.ones(len(names), dtype=torch.bool))
    return found


def _values(session: Session, rows: Tensor) -> Tensor:
    others = session.problem.objective.others(rows)
    return rows.new_empty(len(rows), 0) if others is None else others[1]


def _apply(session: Session, function: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
    parts = [function(rows.to(session.device)).float().cpu() for rows in samples.split(session.settings.batch)]
    return torch.cat(parts)


def _describe(names: Sequence[str], values: Tensor, allowed: Tensor) -> dict[str, Any]:
    """Those that move most; columns without movement too, if there are few."""
    known = values[values.isfinite().all(dim=1)]
    moved = known.amax(dim=0) - known.amin(dim=0) if len(known) else values.new_zeros(values.shape[1])
    order = [column for column in moved.argsort(descending=True, stable=True).tolist() if allowed[column]][:MOST]
    return {
        "names": [names[column] for column in order],
        "values": [[_number(value) for value in row] for row in values[:, order].tolist()],
    }


def _number(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
