"""A weighted sum of objectives."""

from __future__ import annotations

import math
from typing import final

from torch import nn

from equidiff.contracts import Objective, Predictor
from equidiff.errors import UsageError
from equidiff.types import Measurements, Samples


@final
class WeightedSum(Objective):
    """Objective y = sum of w_i * y_i, output by output.

    Args:
        terms: weights and objectives; all objectives must have the same number of outputs.

    Raises:
        UsageError: there are no terms, a weight is not finite, or the terms have different numbers of outputs.
    """

    def __init__(self, terms: list[tuple[float, Objective]]) -> None:
        _check(terms)
        self._terms = tuple(terms)
        weights = [weight for weight, _ in terms]
        outputs = zip(*(objective.names for _, objective in terms), strict=True)
        self.names = tuple(_name(weights, names) for names in outputs)
        units = {objective.unit for _, objective in terms}
        self.sparse = all(objective.sparse for _, objective in terms)
        self.resizes = all(objective.resizes for _, objective in terms)
        self.unit = units.pop() if len(units) == 1 else "mixed"

    def measure(self, samples: Samples) -> Measurements:
        (weight, objective), *others = self._terms
        total = weight * objective.measure(samples)
        for weight, objective in others:
            total = total + weight * objective.measure(samples)
        return total

    def networks(self) -> list[nn.Module]:
        return [network for _, objective in self._terms for network in objective.networks()]

    def predictor(self) -> Predictor | None:
        """The first that a term has."""
        return next(filter(None, (objective.predictor() for _, objective in self._terms)), None)


def _check(terms: list[tuple[float, Objective]]) -> None:
    if not terms:
        raise UsageError("The sum has no terms.", expected="neuron:3 + 0.5*neuron:5")
    if not all(math.isfinite(weight) for weight, _ in terms):
        raise UsageError("A weight of the sum is not finite.", given=[weight for weight, _ in terms])
    counts = [len(objective.names) for _, objective in terms]
    if len(set(counts)) > 1:
        given = ", ".join(f"{objective.names[0]}: {count}" for (_, objective), count in zip(terms, counts, strict=True))
        raise UsageError(
            "The terms of the sum have different numbers of outputs.", given=given, expected="the same number in each"
        )


def _name(weights: list[float], names: tuple[str, ...]) -> str:
    first, *others = (_term(weight, name) for weight, name in zip(weights, names, strict=True))
    return first + "".join(f" - {term[1:]}" if term.startswith("-") else f" + {term}" for term in others)


def _term(weight: float, name: str) -> str:
    if weight == 1:
        return name
    return f"{weight:g}*({name})" if " " in name else f"{weight:g}*{name}"
