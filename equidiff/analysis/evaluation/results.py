"""Results of an evaluation: the content of `metrics.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equidiff.folders import text
from equidiff.folders.atomic import write_atomically
from equidiff.metrics.intervals import Pair, mean_interval, share_interval

SCHEMA_VERSION = 1
FILE = "metrics.json"


@dataclass(frozen=True)
class Metric:
    """One number about the members. Parts that were not measured are None, and absent from the file.

    Attributes:
        label: its name in a table.
        value: of the members.
        unit: of the value; empty for a bare number.
        n: the number of members behind it.
        interval: a 95 % confidence interval.
        plain: the same number for prior samples.
        plain_interval: its 95 % confidence interval.
        reference: the same number for real images.
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
        """Its entry in `metrics.json`."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}


def mean_of(
    label: str, unit: str, values: Tensor, prior: Tensor | None = None, reference: Tensor | None = None
) -> Metric:
    """Mean over the samples; with two samples or more, also its confidence interval."""
    metric = Metric(label, float(values.double().mean()), unit, len(values), _interval(values))
    if prior is not None:
        metric = replace(metric, plain=float(prior.double().mean()), plain_interval=_interval(prior))
    return metric if reference is None else replace(metric, reference=float(reference.double().mean()))


def _interval(values: Tensor) -> Pair | None:
    return mean_interval(values) if len(values) > 1 else None


def share_of(label: str, values: Tensor, prior: Tensor | None = None) -> Metric:
    """Share of samples whose value is 1 rather than 0, with its confidence interval."""
    metric = Metric(label, float(values.double().mean()), "share", len(values), share_interval(values))
    if prior is None:
        return metric
    return replace(metric, plain=float(prior.double().mean()), plain_interval=share_interval(prior))


@dataclass
class Results:
    """Collects what was measured, and the reasons where something could not be.

    Attributes:
        groups: metrics by group and name.
        absent: by "group.name", the reason why it could not be measured.
        warnings: cautions for whoever reads the numbers.
        curves: numbers along an axis, for figures.
        per_member: by name, one number for each member, in the order of `indices`.
    """

    groups: dict[str, dict[str, Metric]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    curves: dict[str, dict[str, Any]] = field(default_factory=dict)
    per_member: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, group: str, name: str, metric: Metric) -> None:
        """Keep a metric; one that is not finite counts as not measured."""
        if math.isfinite(metric.value):
            self.groups.setdefault(group, {})[name] = metric
        else:
            self.skip(group, name, "it is not finite")

    def skip(self, group: str, names: str | Sequence[str], why: str) -> None:
        """Record why some metrics could not be measured."""
        for name in [names] if isinstance(names, str) else names:
            self.absent[f"{group}.{name}"] = why

    def keep(self, name: str, values: Tensor) -> None:
        """Keep one number for each member."""
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


def write_metrics(folder: Path, metrics: dict[str, Any]) -> Path:
    """Write `metrics.json` into a run folder, in one move."""
    return write_atomically(folder / FILE, text.to_json(metrics, indent=2, allow_nan=False) + "\n")
