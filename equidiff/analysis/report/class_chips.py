"""Classes on the page: colours, and chips with the shares of members and of prior samples."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from equidiff.run.info import CalledInfo, RunInfo
from equidiff.run.wording import ClassShare, class_shares, percent

COLOURS = 7  # classes with a colour of their own; all others share the next one
MOST_CHIPS = 6  # in sight; the others are folded


@dataclass(frozen=True)
class Chip:
    """One class: the counts and shares that its chip shows.

    Attributes:
        index: of the class.
        name: of the class.
        colour: number of its colour.
        members: number of members.
        share: of the members, as text.
        interval: its 95 % interval, as text.
        prior: the same of prior samples, as text; empty where none were measured.
        is_query: the class of the query.
        bar: left edge, width of interval and place of the share, all in per cent.
        prior_bar: the same of prior samples.
    """

    index: int
    name: str
    colour: int
    members: int
    share: str
    interval: str
    prior: str
    is_query: bool
    bar: tuple[float, float, float]
    prior_bar: tuple[float, float, float] | None


@dataclass(frozen=True)
class Chips:
    """All chips of a run.

    Attributes:
        shown: those in sight.
        folded: the others.
        elsewhere: share of the prior samples in classes that neither a member nor the query has, as text.
    """

    shown: list[Chip]
    folded: list[Chip]
    elsewhere: str


def chips_of(info: RunInfo) -> Chips | None:
    """Chips of a run, the most frequent classes first; None where the network has no classes."""
    if info.called is None:
        return None
    colours = class_colours(info)
    chips = [_chip(each, colours) for each in class_shares(info)]
    # the query's class is always in sight
    first = sorted(range(len(chips)), key=lambda place: (not chips[place].is_query, place))[:MOST_CHIPS]
    shown = [chip for place, chip in enumerate(chips) if place in first]
    folded = [chip for place, chip in enumerate(chips) if place not in first]
    return Chips(shown, folded, _elsewhere(info.called))


def class_colours(info: RunInfo) -> dict[int, int]:
    """Colour of each class of the run; the classes of most members come first."""
    if info.called is None:
        return {}
    query = () if info.called.query is None else (info.called.query,)
    known = dict.fromkeys(each.index for each in chain(info.called.members, query, info.called.prior))
    return {index: min(place, COLOURS) for place, index in enumerate(known)}


def class_names(info: RunInfo) -> dict[int, str]:
    """Name of each class of the run."""
    if info.called is None:
        return {}
    query = () if info.called.query is None else (info.called.query,)
    return {each.index: each.name for each in chain(info.called.members, query, info.called.prior)}


def _chip(each: ClassShare, colours: dict[int, int]) -> Chip:
    prior, prior_bar = "", None
    if each.prior_share is not None and each.prior_interval is not None:
        prior, prior_bar = percent(each.prior_share), _bar(each.prior_share, each.prior_interval)
    return Chip(
        each.index,
        each.name,
        colours[each.index],
        each.members,
        percent(each.share),
        as_range(each.interval),
        prior and f"{prior} ({as_range(each.prior_interval or (0, 1))})",
        each.is_query,
        _bar(each.share, each.interval),
        prior_bar,
    )


def as_range(interval: tuple[float, float]) -> str:
    """An interval of shares, as "41 to 64 %"."""
    low, high = (f"{100 * each:.0f}" for each in interval)
    return f"{low} to {high} %"


def _bar(share: float, interval: tuple[float, float]) -> tuple[float, float, float]:
    low, high = interval
    return round(100 * low, 2), round(100 * (high - low), 2), round(100 * share, 2)


def _elsewhere(called: CalledInfo) -> str:
    own = {each.index for each in called.members}
    others = [each for each in called.prior if each.index not in own]
    total = sum(each.count for each in called.prior)
    if not others:
        return ""
    count = sum(each.count for each in others)
    words = "class that no member has" if len(others) == 1 else "classes that no member has"
    return f"{len(others)} {words}: {count} of {total} prior samples"
