"""The numbers by which members are sorted and filtered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from equidiff.analysis.figures.overview import shown_value
from equidiff.images.convert import fit_query, is_image, quantized
from equidiff.run.invariant_set import InvariantSet

REALISM = (
    "rank of its distance from the nearest reference sample, among those of prior samples: near 50 is as real as they "
    "are, 100 is further out than all of them"
)


@dataclass(frozen=True)
class Key:
    """One number of each member.

    Attributes:
        name: a word for it in the page's data.
        label: what people read.
        unit: of the values; empty where there is none.
        about: what it means.
        values: one for each member, in order; None where it is not known.
    """

    name: str
    label: str
    unit: str
    about: str
    values: list[float | None]

    @property
    def lowest(self) -> str:
        """The lowest value that is known, as text."""
        return f"{min(value for value in self.values if value is not None):.4g}"

    @property
    def highest(self) -> str:
        """The highest value that is known, as text."""
        return f"{max(value for value in self.values if value is not None):.4g}"


def keys_of(found: InvariantSet, realism: Sequence[float | None] = ()) -> list[Key]:
    """What members can be sorted by, as far as it is known.

    Args:
        found: a run with members.
        realism: of each member, from `metrics.json`.
    """
    unit = found.info.target.unit
    keys = [
        Key("index", "sample", "", "the order in which samples were asked for", [r.index for r in found.members]),
        Key("error", "value error", unit, _about_error(found), _errors(found)),
        Key(
            "norm",
            "|z| / √d",
            "",
            "length of the latent; near 1 is typical of the generator's prior, far from 1 may be an artefact",
            [record.latent_norm for record in found.members],
        ),
        *_distances(found),
        Key("realism", "realism percentile", "%", REALISM, list(realism)),
    ]
    finite = [replace(key, values=[_finite(value) for value in key.values]) for key in keys]
    return [key for key in finite if any(value is not None for value in key.values)]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _about_error(found: InvariantSet) -> str:
    whose = "of the 8-bit picture " if found.members[0].measurement_saved else ""
    if len(found.target) == 1:
        return f"how far the value {whose}is from the target"
    return f"length of the difference between the values {whose}and the target"


def _errors(found: InvariantSet) -> list[float | None]:
    shown = [shown_value(record) for record in found.members]
    return [float((torch.tensor(values) - found.target).norm()) if values else None for values in shown]


def _distances(found: InvariantSet) -> list[Key]:
    keys = []
    recorded = [getattr(record, "distance", None) for record in found.members]
    if any(value is not None for value in recorded):
        about = "angle between its latent and the query's own, as the run recorded it"
        keys.append(Key("distance", "distance from the query", "rad", about, recorded))
    shown = as_shown(found.samples)
    word = "root mean square difference of pixels" if is_image(found.samples) else "root mean square difference"
    if found.query is not None:
        query = as_shown(fit_query(found.query, found.samples.shape[1:]))
        values = (shown - query).flatten(1).square().mean(dim=1).sqrt().tolist()
        name, label = ("pixels", "difference from the query") if keys else ("distance", "distance from the query")
        keys.append(Key(name, label, "", word, values))
    if len(shown) > 1:
        flat = shown.flatten(1)
        apart = torch.cdist(flat, flat) / flat.shape[1] ** 0.5
        apart.fill_diagonal_(torch.inf)
        about = f"{word} from the nearest other member: how unlike all others it is"
        keys.append(Key("novelty", "novelty", "", about, apart.min(dim=1).values.tolist()))
    return keys


def as_shown(samples: Tensor) -> Tensor:
    """Samples as a person sees them: pictures clamped and in 8 bits, points as they are."""
    return quantized(samples) if is_image(samples) else samples
