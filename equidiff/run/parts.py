"""Parts of `run.json`, as models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

FAITHFUL = 0.1  # standard deviations: the round trip that the contract of generators asks of an inverse


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


class BankInfo(Part):
    """The bank of prior samples that a run took members and starts from.

    Attributes:
        count: samples of the bank that the run may use.
        members: those of them that are within its tolerance; the first samples of the run are these.
        evaluations: that making the bank costs, once for all runs; they are not among those of the run.
        made: samples that were not in the cache, and were made by this run.
        measured: samples and views of samples that this run had to measure.
    """

    count: int
    members: int
    evaluations: float
    made: int = 0
    measured: int = 0


class ClassCount(Part):
    """A class, and how many samples the network calls so."""

    index: int
    name: str
    count: int


def count_classes(named: Iterable[tuple[int, str]] | Counter[tuple[int, str]]) -> tuple[ClassCount, ...]:
    """Counts of classes, given as index and name of each sample, or counted already: the most frequent first."""
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


class Inversion(Part):
    """The fit between the query and its latent, in a run that starts from it.

    Attributes:
        round_trip: distance of the latent's sample from the query, root mean square, in standard deviations of the
            query.
        latent_norm: |z| / sqrt(d) as the generator found it; where that is outside the central 99 % of the prior's
            lengths, the start has the nearest length within. 1 is typical.
        loss: of the latent's sample, its views included.
    """

    round_trip: float
    latent_norm: float
    loss: float

    @property
    def warning(self) -> str | None:
        """A sentence for the user, where the latent does not stand for the query."""
        if self.round_trip < FAITHFUL:
            return None
        return (
            f"The query's latent gives a sample that differs from the query by {self.round_trip:.2g} of its standard "
            "deviation: samples near that latent are not near the query."
        )


class WeightsFile(Part):
    """A weights file that a component loaded; `entry` is the key of a larger checkpoint that holds the weights."""

    name: str
    sha256: str
    revision: str | None = None
    entry: str | None = None


class Counts(Part):
    """Numbers of samples: all that were asked for and, once the run has ended, those of each status."""

    asked: int
    members: int | None = None
    not_converged: int | None = None
    failed: int | None = None
