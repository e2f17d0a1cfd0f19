"""The numbers by which members are sorted and filtered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from equidiff.invariant_set import InvariantSet
from equidiff.pictures import shown_value
from equidiff.runfolder import is_image, quantized


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


def keys_of(found: InvariantSet, more: Mapping[str, tuple[str, list[float | None]]] | None = None) -> list[Key]:
    """What members can be sorted by, as far as it is known.

    Args:
        found: a run with members.
        more: from `metrics.json`: for each name, what it means, and a value for each member.
    """
    unit = found.info["target"]["unit"]
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
        *(Key(name, name.replace("_", " "), "", about, values) for name, (about, values) in (more or {}).items()),
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
    shown = as_shown(found.samples)
    word = "root mean square difference of pixels" if is_image(found.samples) else "root mean square difference"
    if any(value is not None for value in recorded):
        keys.append(Key("distance", "distance from the query", "", "as the run recorded it", recorded))
    elif found.query is not None:
        query = as_shown(fit_query(found.query, found.samples))
        values = (shown - query).flatten(1).square().mean(dim=1).sqrt().tolist()
        keys.append(Key("distance", "distance from the query", "", f"{word}, values from 0 to 1", values))
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


def fit_query(query: Tensor, samples: Tensor) -> Tensor:
    """The query with the samples' channels and size, `[1, *sample_shape]`, so that the two can be compared."""
    if query.shape[1:] == samples.shape[1:] or not is_image(query):
        return query
    channels, *size = samples.shape[1:]
    if query.shape[1] != channels:
        query = query.mean(dim=1, keepdim=True).expand(-1, channels, -1, -1)
    if list(query.shape[2:]) == size:
        return query
    return interpolate(query, size=size, mode="bilinear", antialias=True, align_corners=False)
