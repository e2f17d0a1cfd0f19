"""What an evaluation found: the content of `metrics.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from equidiff.metrics.intervals import Pair, mean_interval, share_interval

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Metric:
    """One number about the members. What was not measured is None, and absent from the file.

    Attributes:
        label: what it is, in a few words.
        value: of the members.
        unit: of the value; empty for a bare number.
        n: how many members it is of.
        interval: a 95 % interval of the value.
        plain: the same of prior samples.
        plain_interval: a 95 % interval of that.
        reference: the same of real images.
    """

    label: str
    value: float
    unit: str
    n: int
    interval: Pair | None = None
    plain: float | None = None
    plain_interval: Pair | None = None
    reference: float | None = None

    def to_json(self) -> dict[str, Any]:
        """What `metrics.json` says of it."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}


def mean_of(
    label: str, unit: str, values: Tensor, plain: Tensor | None = None, reference: Tensor | None = None
) -> Metric:
    """The mean of a number that each sample has, with its interval where there are two samples or more."""
    metric = Metric(label, float(values.double().mean()), unit, len(values), _interval(values))
    if plain is not None:
        metric = replace(metric, plain=float(plain.double().mean()), plain_interval=_interval(plain))
    return metric if reference is None else replace(metric, reference=float(reference.double().mean()))


def _interval(values: Tensor) -> Pair | None:
    return mean_interval(values) if len(values) > 1 else None


def share_of(label: str, values: Tensor, plain: Tensor | None = None) -> Metric:
    """The share of samples whose value is 1 and not 0, with its interval."""
    metric = Metric(label, float(values.double().mean()), "share", len(values), share_interval(values))
    if plain is None:
        return metric
    return replace(metric, plain=float(plain.double().mean()), plain_interval=share_interval(plain))


@dataclass
class Results:
    """Collects what is measured, and why something was not.

    Attributes:
        groups: metrics by group and name.
        absent: by "group.name", why something could not be measured.
        warnings: what to keep in mind when reading the numbers.
        curves: numbers along an axis, for figures.
        per_member: a number of each member, in the order of `indices`.
    """

    groups: dict[str, dict[str, Metric]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    curves: dict[str, dict[str, Any]] = field(default_factory=dict)
    per_member: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, group: str, name: str, metric: Metric) -> None:
        """Keep a metric; one that is not finite was not measured."""
        if math.isfinite(metric.value):
            self.groups.setdefault(group, {})[name] = metric
        else:
            self.skip(group, name, "it is not finite")

    def skip(self, group: str, names: str | Sequence[str], why: str) -> None:
        """Say why some metrics are not measured."""
        for name in [names] if isinstance(names, str) else names:
            self.absent[f"{group}.{name}"] = why

    def keep(self, name: str, values: Tensor) -> None:
        """Keep a number of each member."""
        self.per_member[name] = [round(value, 6) for value in values.double().tolist()]

    def to_json(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """The content of `metrics.json`.

        Args:
            about: what was evaluated, and how.
        """
        return {
            "schema_version": SCHEMA_VERSION,
            **about,
            "warnings": self.warnings,
            "groups": {
                group: {name: metric.to_json() for name, metric in metrics.items()}
                for group, metrics in self.groups.items()
            },
            "absent": self.absent,
            "curves": self.curves,
            "per_member": self.per_member,
        }


def curve(values: Tensor) -> list[float]:
    """Numbers along an axis, rounded for the file."""
    return [float(f"{value:.6g}") for value in torch.as_tensor(values).tolist()]
