"""Members and the query on the page: images, spectra, attribution maps and facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from equidiff.analysis.figures.captions import format_values, shown_value
from equidiff.analysis.figures.colours import Scale, is_signed
from equidiff.analysis.report.data_uris import heat_uri, large_uri, small_maps, thumbnail_uri
from equidiff.analysis.report.results import Method
from equidiff.analysis.report.sort_keys import SortKey
from equidiff.images.convert import is_image, to_image
from equidiff.images.fit import fit_query
from equidiff.metrics.spectral import mean_log_spectrum
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record

SPECTRUM_COLOURS = "viridis"
PIXELATED = 128  # smaller images are enlarged without smoothing
MOST_OUTPUTS = 12  # outputs shown of a measurement


@dataclass(frozen=True)
class Card:
    """One sample on the page.

    Attributes:
        title: such as "sample 3".
        caption: its value.
        image: data URI for the grid; empty if samples are not images.
        pixelated: it is so small that it is enlarged without smoothing.
        point: its place in the square from 0 to 1, for points in the plane.
        data: data for the page's script: numbers, and images shown on demand.
    """

    title: str
    caption: str
    image: str
    pixelated: bool
    point: tuple[float, float] | None
    data: dict[str, Any]


@dataclass(frozen=True)
class CardRenderer:
    """Draws the samples of a run on common scales.

    Args:
        found: a run with members.
        methods: attribution methods with maps of the members.
    """

    found: InvariantSet
    methods: Sequence[Method]
    _spectra: list[Tensor] = field(default_factory=list)

    def cards(self, keys: Sequence[SortKey], show: Callable[[int, str], None]) -> list[Card]:
        """Make a card for each member, in index order.

        Args:
            keys: numbers of the members.
            show: called with the progress: each member counts twice, for its spectrum and for its images.
        """
        self._measure_spectra(show)
        cards = []
        target = self.found.info.target.values
        for position, (record, sample) in enumerate(zip(self.found.members, self._samples, strict=True)):
            maps = [method.members.get(record.index) for method in self.methods]
            data = {
                "title": f"sample {record.index}",
                "numbers": {key.name: key.values[position] for key in keys},
                "facts": _facts(record, self.found),
                **self._images(position, maps),
            }
            shown = shown_value(record)
            caption = format_values(shown, target) if shown else ""
            cards.append(self._card(f"sample {record.index}", caption, sample, position, data))
            show(len(self.found) + position + 1, "images")
        return cards

    def query(self) -> Card | None:
        """Make the query's card, after those of the members; None if the target was given as numbers."""
        query, target = self.found.query, self.found.info.target.values
        if query is None:
            return None
        maps = [None if method.query is None else method.query for method in self.methods]
        data = self._images(-1, maps)
        return self._card("query", format_values(target, target) if len(target) == 1 else "", query[0], -1, data)

    @cached_property
    def _samples(self) -> Tensor:
        return self.found.samples

    def _measure_spectra(self, show: Callable[[int, str], None]) -> None:
        """Measure log power of the members, and last of the query; nothing if they are not images."""
        if not is_image(self._samples):
            return
        queries = () if self.found.query is None else fit_query(self.found.query, self._samples.shape[1:])
        # one at a time: in double precision, all of them may not fit into memory
        for position, each in enumerate((*self._samples, *queries)):
            self._spectra.append(small_maps(mean_log_spectrum(each[None])[None])[0])
            show(min(position + 1, len(self.found)), "spectra")

    @cached_property
    def _signed(self) -> dict[str, bool]:
        """By method, True if any of its maps has a negative value: its maps then share one meaning of colours."""
        return {
            method.spec: is_signed(
                [each.float().numpy() for each in (*method.members.values(), *_existing(method.query))]
            )
            for method in self.methods
        }

    @cached_property
    def _range(self) -> tuple[float, float]:
        """Range of log power over all spectra, so that they can be compared."""
        return min(float(each.min()) for each in self._spectra), max(float(each.max()) for each in self._spectra)

    @cached_property
    def _places(self) -> list[tuple[float, float]] | None:
        """Members, and last the query, in the square from 0 to 1, y downwards; None if they are not points."""
        if self._samples.shape[1:] != (2,):
            return None
        points = self._samples if self.found.query is None else torch.cat([self._samples, self.found.query])
        reach = 1.1 * float(points.abs().max().clamp(min=1e-6))
        return [(round(x, 4), round(1 - y, 4)) for x, y in ((points / reach + 1) / 2).tolist()]

    def _card(self, title: str, caption: str, sample: Tensor, position: int, data: dict[str, Any]) -> Card:
        if not is_image(sample[None]):
            return Card(title, caption, "", False, self._places[position] if self._places else None, data)
        image = to_image(sample)
        thumbnail, large = thumbnail_uri(image), large_uri(image)
        if large != thumbnail:  # otherwise the page shows the thumbnail
            data["large"] = large
        return Card(title, caption, thumbnail, max(image.size) < PIXELATED, None, data)

    def _images(self, position: int, maps: Sequence[Tensor | None]) -> dict[str, Any]:
        if not self._spectra:
            return {"maps": []}
        drawn = [
            {"method": method.spec, "picture": image, "about": about}
            for method, values in zip(self.methods, maps, strict=True)
            if values is not None
            for image, about in [_attribution(values, self._signed[method.spec])]
        ]
        return {"spectrum": heat_uri(self._spectra[position], *self._range, SPECTRUM_COLOURS), "maps": drawn}


def _existing(maps: Tensor | None) -> list[Tensor]:
    return [] if maps is None else [maps]


def _attribution(values: Tensor, signed: bool) -> tuple[str, str]:
    """Draw a map in colours, with an explanation of them."""
    values = small_maps(values.float().reshape(1, *values.shape[-2:]))[0].nan_to_num()
    scale = Scale.of([values.numpy()], signed)
    return heat_uri(values, scale.low, scale.high, scale.colours), f"{scale.legend} Each map has its own scale."


def _facts(record: Record, found: InvariantSet) -> list[tuple[str, str]]:
    """Facts about a member, as names and texts."""
    rows: list[tuple[str, str]] = []
    target = found.info.target.values
    shown = shown_value(record)
    if len(target) == 1:
        rows += _one(record.measurement[0], "value", found) if record.measurement else []
        rows += _one(record.measurement_saved[0], "value of the 8-bit image", found) if record.measurement_saved else []
        rows += _one(target[0], "target", found)
    elif shown:
        rows += _outputs(shown, found)
    for name, value in (
        ("loss", record.loss),
        ("loss, unfiltered", record.loss_unfiltered),
        ("loss, filtered", record.loss_filtered),
    ):
        if value is not None:
            rows.append((name, f"{value:.3g}"))
    rows += [("steps", str(record.steps)), ("evaluations", f"{record.evaluations:.1f}")]
    if record.image is not None:
        rows.append(("file", record.image))
    return rows


def _one(value: float, name: str, found: InvariantSet) -> list[tuple[str, str]]:
    return [(name, f"{value:.5g} {found.info.target.unit}")]


def _outputs(values: Sequence[float], found: InvariantSet) -> list[tuple[str, str]]:
    """Values of the outputs with the highest targets, each beside its target."""
    target, names = found.info.target.values, found.info.target.names
    order = sorted(range(len(target)), key=lambda output: -target[output])[:MOST_OUTPUTS]
    rows = [(names[output], f"{values[output]:.4g} (target {target[output]:.4g})") for output in order]
    if len(target) > len(order):
        rows.append((f"{len(target) - len(order)} more outputs", "with lower targets, not shown"))
    return rows
