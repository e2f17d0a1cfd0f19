"""Verdict plot: what `equidiff evaluate` measured of members, beside prior samples, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from equidiff.analysis.report.results import items, text_of

# by the name of the verdict in the file: the question, and the metrics that answer it
QUESTIONS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    "target": (
        "Do members hit the target?",
        {"fidelity": ("l2", "views_l2", "kl", "rank_correlation")},
    ),
    "saving": (
        "Do they stay members, saved and after small changes?",
        {
            "fidelity": (
                "saved_members", "jpeg_90_members", "jpeg_75_members", "resize_0.75_members", "resize_0.5_members",
                "noise_0.01_members", "noise_0.02_members",
            )
        },
    ),
    "realism": (
        "Do they look like prior samples?",
        {
            "realism": ("neighbour_distance", "percentile", "kid", "fid", "latent_norm", "latent_rejected"),
            "spectral": ("slope", "high_share"),
        },
    ),
    "diversity": ("Are they as diverse?", {"diversity": ("pairwise_distance", "lpips", "vendi", "coverage")}),
}  # fmt: skip
RANGES = {"share": (0.0, 1.0), "%": (0.0, 100.0)}  # of units that have one
MARGIN = 0.06  # of the range, free on both sides

Place = tuple[float, float, float]


@dataclass(frozen=True)
class VerdictRow:
    """One metric, in per cent of the width of its plot.

    Attributes:
        name: of the metric.
        unit: of its values.
        members: low and high end of the interval, and the value.
        prior: the same of prior samples, if they were measured.
        reference: the value of real images, if there are any.
        member_text: the members' value, with its interval.
        prior_text: that of the prior samples.
        low: value at the left edge.
        high: value at the right edge.
    """

    name: str
    unit: str
    members: Place
    prior: Place | None
    reference: float | None
    member_text: str
    prior_text: str
    low: str
    high: str


@dataclass(frozen=True)
class Answer:
    """The answer to one question about the members.

    Attributes:
        question: such as "Are they as diverse?".
        sentence: the verdict in words; empty where the file has none.
        holds: the members pass; None where it was not judged.
        rows: of the plot.
    """

    question: str
    sentence: str
    holds: bool | None
    rows: list[VerdictRow]


def answers(metrics: dict[str, Any]) -> list[Answer]:
    """Answers to the questions about the members, those without numbers left out.

    Args:
        metrics: the content of `metrics.json`.
    """
    groups = {name: dict(items(group)) for name, group in items(metrics.get("groups"))}
    judged = metrics.get("verdicts")
    known = {
        text_of(each.get("name")): each
        for each in (judged if isinstance(judged, list) else [])
        if isinstance(each, dict)
    }
    found = []
    for name, (question, metric_names) in QUESTIONS.items():
        entries = [groups.get(group, {}).get(metric) for group, own in metric_names.items() for metric in own]
        rows = [_row(entry) for entry in entries if isinstance(entry, dict) and is_number(entry.get("value"))]
        verdict = known.get(name, {})
        if rows:
            holds = verdict.get("holds")
            sentence = text_of(verdict.get("sentence"))
            found.append(Answer(question, sentence, holds if isinstance(holds, bool) else None, rows))
    return found


def is_number(value: Any) -> bool:
    """True for a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _row(entry: dict[str, Any]) -> VerdictRow:
    unit = text_of(entry.get("unit"))
    values = list(_numbers(entry))
    low, high = RANGES.get(unit, (min(0.0, *values), max(0.0, *values)))
    # values far from zero, all alike, would be one dot at the edge
    if unit not in RANGES and min(map(abs, values)) > 3 * (max(values) - min(values)) > 0:
        low, high = min(values), max(values)
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return round(100 * (MARGIN + (1 - 2 * MARGIN) * min(max((value - low) / span, 0.0), 1.0)), 2)

    def bar(name: str, interval: str) -> Place:
        value = float(entry[name])
        ends = _interval(entry, interval) or (value, value)
        return place(ends[0]), place(ends[1]), place(value)

    reference = entry.get("reference")
    return VerdictRow(
        text_of(entry.get("label")).strip().removesuffix(", L2"),
        unit,
        bar("value", "interval"),
        bar("plain", "plain_interval") if is_number(entry.get("plain")) else None,
        place(float(reference)) if is_number(reference) and reference is not None else None,
        _text(entry, "value", "interval"),
        _text(entry, "plain", "plain_interval"),
        f"{low:.3g}",
        f"{high:.3g}",
    )


def _numbers(entry: dict[str, Any]) -> Iterator[float]:
    for name in ("value", "plain", "reference"):
        if is_number(entry.get(name)):
            yield float(entry[name])
    for name in ("interval", "plain_interval"):
        yield from _interval(entry, name) or ()


def _interval(entry: dict[str, Any], name: str) -> tuple[float, float] | None:
    pair = entry.get(name)
    if not isinstance(pair, list) or len(pair) != 2 or not all(map(is_number, pair)):
        return None
    return float(pair[0]), float(pair[1])


def _text(entry: dict[str, Any], name: str, interval: str) -> str:
    if not is_number(entry.get(name)):
        return ""
    text, ends = f"{entry[name]:.3g}", _interval(entry, interval)
    return text if ends is None else f"{text} ({ends[0]:.3g} to {ends[1]:.3g})"
