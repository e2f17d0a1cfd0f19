"""Parts of `run.json` about prior samples and classes, as models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of `run.json`. What is None is absent from the file; keys of later versions are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Prior(Part):
    """Prior samples that the run measured before its search.

    Attributes:
        count: how many.
        members: those that are within the tolerance already, before any search.
        spread: root mean square distance of their measurements from the mean, in the measurement's unit.
    """

    count: int
    members: int
    spread: float


class ClassCount(Part):
    """A class, and how many samples the network calls so."""

    index: int
    name: str
    count: int


def count_classes(named: Iterable[tuple[int, str]]) -> tuple[ClassCount, ...]:
    """Counts of classes, given as index and name of each sample, the most frequent first."""
    counts = Counter(named).most_common()
    return tuple(ClassCount(index=index, name=name, count=count) for (index, name), count in counts)


class QueryClass(Part):
    """The class that the network gives to the query, with its probability in [0, 1]."""

    index: int
    name: str
    probability: float


class CalledInfo(Part):
    """What a network calls the query, the members, and prior samples for comparison.

    Attributes:
        network: its name.
        classes: how many it tells apart.
        query: its class; None where the target was given as numbers.
        members: the members' classes, the most frequent first; empty before the run has ended.
        prior: those of the prior samples, likewise.
    """

    network: str
    classes: int
    query: QueryClass | None = None
    members: tuple[ClassCount, ...] = ()
    prior: tuple[ClassCount, ...] = ()
