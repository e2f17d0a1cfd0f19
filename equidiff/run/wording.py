"""Sentences about a run, for the terminal, the notebook, images and the report: the same words in every place.

They are plain text: a place that shows them escapes what it must.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from equidiff.metrics.intervals import wilson_interval
from equidiff.run.info import RunInfo
from equidiff.run.parts import ClassCount

MOST_CLASSES = 4  # that a sentence names
TOO_MANY_PRIOR_MEMBERS = 0.25  # share of the prior samples that are members before any search


@dataclass(frozen=True)
class ClassShare:
    """A class, and how often the network calls members and prior samples so.

    Attributes:
        index: of the class.
        name: of the class.
        members: number of members.
        share: of all members, in [0, 1], and its 95 % interval (Wilson).
        prior_share: of the prior samples, likewise; None where none were measured.
        is_query: the class of the query.
    """

    index: int
    name: str
    members: int
    share: float
    interval: tuple[float, float]
    prior_share: float | None
    prior_interval: tuple[float, float] | None
    is_query: bool


def question(info: RunInfo) -> str:
    """The question that a run asks, as one sentence."""
    target = info.target
    what = target.names[0] if len(target.names) == 1 else f"the {len(target.names)} outputs of {info.specs.objective}"
    network = _measured_network(info)
    samples = f"Which samples of {info.specs.generator}"
    if target.is_given:
        one = len(target.values) == 1
        value = f"the {target.unit} {target.values[0]:.6g}" if one else f"the given {target.unit} values"
        return f"{samples} give {what}{network} {value}?"
    same = f"the same {target.unit}" if len(target.values) == 1 else f"the same {target.unit} values"
    return f"{samples} give {what}{network} {same} as {target.source}?"


def _measured_network(info: RunInfo) -> str:
    """The network that the objective measures; an encoder is not the one that calls samples by a class."""
    named = info.options.objective.get("model") or (info.called.network if info.called is not None else None)
    return "" if named is None else f" of the network {named}"


def agreement(info: RunInfo) -> str:
    """How near to the target members are, in the measurement's unit, beside how much that varies."""
    if info.within is None:
        return f"with a loss below {info.tolerance:g}"
    return _beside_spread(info, f"within {rounded_up(info.within):g}")


def reached(info: RunInfo, deviation: float) -> str:
    """How near to the target the members are that were found.

    Args:
        info: of the run.
        deviation: the largest distance of a member's measurement from the target, of an objective with one output.
    """
    return _beside_spread(info, f"to within {rounded_up(deviation):g}")


def largest_deviation(info: RunInfo, losses: Iterable[float | None]) -> float | None:
    """The largest distance of a member's measurement from the target, in the measurement's unit.

    Args:
        info: of the run.
        losses: of the members, without their views.
    """
    known = [each for each in losses if each is not None]
    if info.within is None or not known:
        return None
    return info.within * math.sqrt(max(known) / info.tolerance)


def in_spreads(info: RunInfo, loss: float) -> float | None:
    """The distance from the target that a loss stands for, in spreads of the measurement over prior samples.

    Args:
        info: of the run.
        loss: of a sample, with its views.

    Returns:
        The distance; None where the spread is not known, or zero.
    """
    if info.within is None or info.prior is None or info.prior.spread == 0:
        return None
    return info.within * math.sqrt(loss / info.tolerance) / info.prior.spread


def near_misses(info: RunInfo, losses: Sequence[float]) -> str:
    """How near the samples came that are no members.

    Args:
        info: of the run.
        losses: theirs, with their views; at least one.
    """
    spreads = [each for each in (in_spreads(info, loss) for loss in losses) if each is not None]
    values, unit = (spreads, "spreads from the target") if spreads else (losses, "loss")
    low, middle, high = min(values), statistics.median(values), max(values)
    if len(values) == 1:
        return f"1, no member: {low:.2g} {unit}"
    return f"{len(values)}, no members: {low:.2g} to {high:.2g} {unit} (median {middle:.2g})"


def found(info: RunInfo) -> str:
    """The number of members, and the measurement that they share."""
    return f"{info.counts.members or 0} of {info.counts.asked} samples are members: {info.target}, {agreement(info)}"


def called(info: RunInfo) -> str | None:
    """What the network calls the query and the members, as one sentence; None where it has no classes."""
    if info.called is None:
        return None
    members = info.called.members
    named = _list_classes(members) if members else ""
    network = f"The network {info.called.network} calls"
    query = info.called.query
    if query is None:
        return f"{network} the members {named}" if members else None
    text = f"{network} the query {query.name} ({percent(query.probability)})"
    return f"{text}, and the members {named}" if members else text


def called_otherwise(info: RunInfo) -> str | None:
    """The finding: the share of members that are called otherwise than the query, beside that of prior samples."""
    if info.called is None or info.called.query is None or not info.called.members:
        return None
    share = next((each for each in class_shares(info) if each.is_query), None)
    total = sum(each.count for each in info.called.members)
    same = 0 if share is None else share.members
    low, high = wilson_interval(total - same, total)
    text = f"{total - same} of {total} members ({percent(low)} to {percent(high)}) are called otherwise than the query"
    prior = sum(each.count for each in info.called.prior)
    if not prior:
        return text
    other = prior - sum(each.count for each in info.called.prior if each.index == info.called.query.index)
    low, high = wilson_interval(other, prior)
    return f"{text}; of prior samples {other} of {prior} ({percent(low)} to {percent(high)})"


def class_shares(info: RunInfo) -> list[ClassShare]:
    """Every class that a member or the query is called, the most frequent first, with intervals."""
    if info.called is None:
        return []
    own = {(each.index, each.name): each.count for each in info.called.members}
    query = info.called.query
    if query is not None:
        own.setdefault((query.index, query.name), 0)
    prior = {each.index: each.count for each in info.called.prior}
    total, all_prior = sum(own.values()), sum(prior.values())
    shares = []
    for (index, name), count in own.items():
        many = prior.get(index, 0)
        shares.append(
            ClassShare(
                index,
                name,
                count,
                count / total if total else 0.0,
                wilson_interval(count, total),
                many / all_prior if all_prior else None,
                wilson_interval(many, all_prior) if all_prior else None,
                query is not None and index == query.index,
            )
        )
    return shares


def prior_warning(info: RunInfo) -> str | None:
    """A sentence where so many prior samples are members already that a set of them says little."""
    prior = info.prior
    if prior is None or prior.members < TOO_MANY_PRIOR_MEMBERS * prior.count:
        return None
    return (
        f"{prior.members} of {prior.count} prior samples are members before any search: the measurement hardly tells "
        "samples apart here, or the tolerance is too wide."
    )


def from_bank(info: RunInfo, members: int, banked: int) -> str:
    """The members that came from the bank, and its cost, which is not among that of the search.

    Args:
        info: of the run.
        members: number of them.
        banked: those that came from the bank.
    """
    bank = info.bank
    if bank is None:
        return "none"
    cost = f"{bank.evaluations:.0f} evaluations, made once"
    return (
        f"{banked} of {members} members came from the bank of {bank.count} ({cost}), "
        f"{members - banked} were searched for"
    )


def percent(share: float) -> str:
    """A share as a whole percentage."""
    return f"{100 * share:.0f} %"


def rounded_up(value: float, digits: int = 2) -> float:
    """A positive value to a few digits, never less than it is."""
    if value <= 0 or not math.isfinite(value):
        return value
    unit = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    # the small slack keeps 0.04 from becoming 0.041 by rounding of the division
    return round(math.ceil(value / unit - 1e-9) * unit, 12)


def _beside_spread(info: RunInfo, text: str) -> str:
    if info.prior is None or info.prior.spread == 0:
        return text
    return f"{text} (prior samples vary by {info.prior.spread:.2g})"


def _list_classes(classes: Sequence[ClassCount]) -> str:
    named = [f"{each.name} ({each.count})" for each in classes[:MOST_CLASSES]]
    rest = sum(each.count for each in classes[MOST_CLASSES:])
    if rest:
        named.append(f"something else ({rest})")
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
