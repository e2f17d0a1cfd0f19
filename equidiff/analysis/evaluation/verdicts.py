"""Four sentences about the members of a run, each with its number and interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from equidiff.analysis.evaluation.results import Metric

Groups = Mapping[str, Mapping[str, Metric]]
USUAL_PERCENTILE = 50.0  # the mean of prior samples
QUESTIONS = {
    "target": "Whether they hit the target",
    "saving": "Whether they survive saving",
    "realism": "Whether they look like prior samples",
    "diversity": "Whether they are as diverse as prior samples",
}


@dataclass(frozen=True)
class Verdict:
    """A sentence about the members.

    Attributes:
        name: "target", "saving", "realism" or "diversity".
        holds: the members pass; None where it was not measured.
        sentence: in words.
    """

    name: str
    holds: bool | None
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Its entry in `metrics.json`; `holds` is absent where it was not measured."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def judge_members(
    groups: Groups, absent: Mapping[str, str], within: float | None, real: bool, in_part: bool = False
) -> list[Verdict]:
    """Judge if members hit the target, survive saving, look like prior samples, and are as diverse as these.

    Args:
        groups: the metrics.
        absent: by "group.name", the reason why a metric could not be measured.
        within: distance from the target at which the tolerance is reached; None for runs that do not know it.
        real: members and prior samples are compared with real images.
        in_part: the run has more members than were evaluated.
    """
    return [
        _judge(groups, absent, "target", "fidelity", "l2", lambda metric: _target(metric, within)),
        _judge(groups, absent, "saving", "fidelity", "saved_members", lambda metric: _saving(metric, groups, in_part)),
        _judge(groups, absent, "realism", "realism", "percentile", lambda metric: _realism(metric, real)),
        _judge(groups, absent, "diversity", "diversity", "pairwise_ratio", _diversity),
    ]


def _judge(
    groups: Groups,
    absent: Mapping[str, str],
    name: str,
    group: str,
    key: str,
    describe: Callable[[Metric], tuple[bool, str]],
) -> Verdict:
    metric = groups.get(group, {}).get(key)
    if metric is None:
        why = absent.get(f"{group}.{key}", "the run has no numbers for it")
        return Verdict(name, None, f"{QUESTIONS[name]} was not measured: {why}.")
    return Verdict(name, *describe(metric))


def _target(metric: Metric, within: float | None) -> tuple[bool, str]:
    _, high = _interval(metric)
    prior = metric.plain if metric.plain is not None else float("inf")
    holds = high <= within if within is not None else high < prior
    text = f"their deviation is {_number(metric.value)} {metric.unit}{_range(metric)}, that of prior samples "
    text += _number(prior)
    return holds, f"Members {'hit' if holds else 'miss'} the target: {text}."


def _saving(metric: Metric, groups: Groups, in_part: bool) -> tuple[bool, str]:
    count = round(metric.value * metric.n)
    holds = count == metric.n
    low, high = _interval(metric)
    of = f"the {metric.n} evaluated" if in_part else f"{metric.n}"
    text = f"{count} of {of} are members as saved ({100 * low:.0f} % to {100 * high:.0f} %)"
    jpeg = groups["fidelity"].get("jpeg_90_members")
    if jpeg is not None:
        text += f", {round(jpeg.value * jpeg.n)} after JPEG at quality 90"
    return holds, f"{'They survive saving' if holds else 'Not all survive saving'}: {text}."


def _realism(metric: Metric, real: bool) -> tuple[bool, str]:
    low, _ = _interval(metric)
    holds = low <= USUAL_PERCENTILE
    nearest = "real image" if real else "other prior sample"
    text = f"the mean percentile of their distance to the nearest {nearest} is {metric.value:.0f}"
    text += f"{_range(metric, 0)}, that of prior samples {USUAL_PERCENTILE:.0f}"
    return holds, f"{'They look like' if holds else 'They are further than usual from'} prior samples: {text}."


def _diversity(metric: Metric) -> tuple[bool, str]:
    low, high = _interval(metric)
    than = "as diverse as" if low <= 1 <= high else "less diverse than" if high < 1 else "more diverse than"
    text = f"two of them differ {metric.value:.2f} times as much{_range(metric, 2)}"
    return high >= 1, f"They are {than} prior samples: {text}."


def _interval(metric: Metric) -> tuple[float, float]:
    return metric.interval if metric.interval is not None else (metric.value, metric.value)


def _range(metric: Metric, digits: int | None = None) -> str:
    if metric.interval is None:
        return ""
    low, high = (_number(end) if digits is None else f"{end:.{digits}f}" for end in metric.interval)
    return f" ({low} to {high})"


def _number(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 1000 else f"{value:.0f}"
