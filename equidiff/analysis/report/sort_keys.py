"""Numbers by which members are sorted and filtered on the page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from equidiff.analysis.limits import COMPARED_ON_PAGE
from equidiff.analysis.prior_samples import prior_samples
from equidiff.analysis.selection import NEIGHBOURS, typicality
from equidiff.analysis.subsample import draw_members
from equidiff.run.invariant_set import InvariantSet

REALISM = (
    "percentile of its distance from the nearest reference sample, among prior samples: near 50 it looks as real as "
    "they do, at 100 it is further away than all of them"
)


@dataclass(frozen=True)
class SortKey:
    """One number of each member.

    Attributes:
        name: its name in the page's data.
        label: its name for people.
        unit: of the values; empty if there is none.
        about: its meaning.
        values: one for each member, in order; None if it is not known.
    """

    name: str
    label: str
    unit: str
    about: str
    values: list[float | None]

    @property
    def lowest(self) -> str:
        """Lowest known value, as text."""
        return f"{min(value for value in self.values if value is not None):.4g}"

    @property
    def highest(self) -> str:
        """Highest known value, as text."""
        return f"{max(value for value in self.values if value is not None):.4g}"


def sort_keys(
    found: InvariantSet, realism: Sequence[float | None] = (), run: InvariantSet | None = None
) -> list[SortKey]:
    """Numbers to sort members by, if they are known for any member.

    Args:
        found: the members on the page.
        realism: percentile of each member, from `metrics.json`.
        run: the run that they were drawn from; the same set when absent.
    """
    unit = found.info.target.unit
    keys = [
        SortKey("index", "index", "", "index of the sample in the run", [r.index for r in found.members]),
        *_classes(found),
        *_values(found),
        SortKey("error", "value error", unit, _about_error(found), _errors(found)),
        SortKey(
            "norm",
            "|z| / √d",
            "",
            "norm of the latent; near 1 is typical of the generator's prior, far from 1 may be an artefact",
            [record.latent_norm for record in found.members],
        ),
        *_distances(found),
        *_novelty(found, found if run is None else run),
        *_typicality(found),
        SortKey("realism", "realism percentile", "%", REALISM, list(realism)),
    ]
    finite = [replace(key, values=[_finite(value) for value in key.values]) for key in keys]
    return [key for key in finite if any(value is not None for value in key.values)]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _classes(found: InvariantSet) -> list[SortKey]:
    """Place of each member's class among all, so that the most frequent one comes first."""
    places = {index: place for place, index in enumerate(_class_order(found))}
    called: list[float | None] = [
        None if record.called is None else places[record.called.index] for record in found.members
    ]
    return [SortKey("class", "class", "", "what the network calls it; the most frequent class first", called)]


def _class_order(found: InvariantSet) -> list[int]:
    """Indices of the members' classes, the most frequent first."""
    counts = Counter(record.called.index for record in found.members if record.called is not None)
    return [index for index, _ in counts.most_common()]


def _values(found: InvariantSet) -> list[SortKey]:
    if len(found.target) > 1:
        return []
    shown = [record.shown_values for record in found.members]
    values = [each[0] if each else None for each in shown]
    name = found.info.target.names[0]
    return [SortKey("value", "value", found.info.target.unit, f"the measurement of {name}", values)]


def _typicality(found: InvariantSet) -> list[SortKey]:
    """Density of the run's own prior samples around each member, by pixels or coordinates."""
    prior = prior_samples(found)
    if len(prior) <= NEIGHBOURS:
        return []
    kind = found.kind
    rows = [kind.compared(each) for each in (found.samples, prior)]
    about = (
        f"density of prior samples around it, by {kind.compared_by}: prior samples have 1, and a member among few of "
        "them has less"
    )
    return [SortKey("typicality", "typicality", "", about, typicality(*rows).tolist())]


def _about_error(found: InvariantSet) -> str:
    source = f"of the {found.kind.noun} as saved " if found.members[0].measurement_saved else ""
    if len(found.target) == 1:
        return f"distance of the value {source}from the target"
    return f"distance of the values {source}from the target"


def _errors(found: InvariantSet) -> list[float | None]:
    shown = [record.shown_values for record in found.members]
    return [float((torch.tensor(values) - found.target).norm()) if values else None for values in shown]


def _distances(found: InvariantSet) -> list[SortKey]:
    keys = []
    recorded = [getattr(record, "distance", None) for record in found.members]
    if any(value is not None for value in recorded):
        about = "angle between its latent and the query's latent, as the run recorded it"
        keys.append(SortKey("distance", "distance from the query", "rad", about, recorded))
    if found.query is not None:
        kind = found.kind
        shown, query = kind.compared(found.samples), kind.compared(kind.fit(found.query, found.sample_shape))
        values = (shown - query).square().mean(dim=1).sqrt().tolist()
        name, label = ("pixels", "difference from the query") if keys else ("distance", "distance from the query")
        keys.append(SortKey(name, label, "", _difference(found), values))
    return keys


def _novelty(found: InvariantSet, run: InvariantSet) -> list[SortKey]:
    """Distance of each member from the nearest other one among those of the run, or as many as are compared."""
    among = draw_members(run, max(COMPARED_ON_PAGE, len(found)), [record.index for record in found.members])
    if len(among) < 2:
        return []
    places = {record.index: place for place, record in enumerate(among.members)}
    own = [places[record.index] for record in found.members]
    flat = found.kind.compared(among.samples)
    apart = torch.cdist(flat if len(own) == len(flat) else flat[own], flat) / flat.shape[1] ** 0.5
    apart[torch.arange(len(own)), own] = torch.inf
    others = "others" if len(among) == len(run) else f"{len(among) - 1} others drawn from all"
    about = f"{_difference(found)} from the nearest other member: high if it is unlike all {others}"
    return [SortKey("novelty", "novelty", "", about, apart.min(dim=1).values.tolist())]


def _difference(found: InvariantSet) -> str:
    return f"root mean square difference of {found.kind.compared_by}"
