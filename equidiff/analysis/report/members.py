"""Members, prior samples and the query on the page: their images, captions and facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from equidiff.analysis.figures.captions import format_values
from equidiff.analysis.report.class_chips import class_colours, class_names
from equidiff.analysis.report.data_uris import large_uri, thumbnail_uri
from equidiff.analysis.report.facts import facts_of
from equidiff.analysis.report.heat_maps import HeatMaps
from equidiff.analysis.report.kind_parts import Sounds
from equidiff.analysis.report.nearest import Nearest
from equidiff.analysis.report.results import Method
from equidiff.analysis.report.sort_keys import SortKey
from equidiff.contracts.sample_kind import CONTOUR, SampleKind
from equidiff.images.convert import to_image
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.record import Record
from equidiff.run.wording import percent

LARGE_TILE, SMALL_TILE = 384, 128  # pixels of a drawing of a member, and of a prior sample
PIXELATED = 128  # smaller images are enlarged without smoothing


@dataclass(frozen=True)
class Card:
    """One sample on the page.

    Attributes:
        title: such as "member 3".
        caption: its value.
        image: data URI for the grid; empty if samples are not images.
        pixelated: it is so small that it is enlarged without smoothing.
        sound: data URI of an audio file; empty if samples make no sound.
        point: its place in the square from 0 to 1, for points in the plane.
        data: data for the page's script: numbers, and images shown on demand.
        index: of the sample in the run; -1 for the query.
        called: the class that the network gives to it; empty where it has none.
        colour: number of the colour of that class; None where it has none.
    """

    title: str
    caption: str
    image: str
    pixelated: bool
    point: tuple[float, float] | None
    data: dict[str, Any]
    sound: str = ""
    index: int = -1
    called: str = ""
    colour: int | None = None


@dataclass(frozen=True)
class CardRenderer:
    """Draws the samples of a run on common scales.

    Args:
        found: the members on the page.
        methods: attribution methods with maps of the members.
        nearest: the nearest real image of each member, by index.
    """

    found: InvariantSet
    methods: Sequence[Method]
    nearest: dict[int, Nearest] = field(default_factory=dict)

    def cards(self, keys: Sequence[SortKey], show: Callable[[int, str], None]) -> list[Card]:
        """Make a card for each member, in index order.

        Args:
            keys: numbers of the members.
            show: called with the progress: each member counts twice, for its spectrum and for its images.
        """
        queries = () if self.found.query is None else self._kind.fit(self.found.query, self._samples.shape[1:])
        count = len(self.found)
        self._heat.measure([*self._samples, *queries], lambda done: show(min(done, count), "spectra"))
        cards = []
        for position, (record, sample) in enumerate(zip(self.found.members, self._samples, strict=True)):
            cards.append(self._member(position, record, sample, keys))
            show(count + position + 1, "images")
        return cards

    def query(self) -> Card | None:
        """Make the query's card, after those of the members; None if the target was given as numbers."""
        query, target = self.found.query, self.found.info.target.values
        if query is None:
            return None
        maps = [None if method.query is None else method.query for method in self.methods]
        called = None if self.found.info.called is None else self.found.info.called.query
        data = self._heat.of(-1, maps)
        card = self._card("query", query[0], -1, data)
        return Card(
            **vars(card)
            | {
                "caption": format_values(target, target) if len(target) == 1 else "",
                "called": "" if called is None else f"{called.name} ({percent(called.probability)})",
                "colour": None if called is None else self._colours[called.index],
            }
        )

    def prior(self, samples: Tensor, places: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
        """Data of the run's own prior samples, for the page's script.

        Args:
            samples: `[count, *sample_shape]`, float.
            places: of each on the map; none if there is no map.
        """
        if not len(samples):
            return []
        losses, classes = (self.found.prior.get(name, torch.empty(0)).tolist() for name in ("losses", "classes"))
        drawn = []
        for position, sample in enumerate(samples):
            each: dict[str, Any] = {"member": losses[position] < self.found.info.tolerance}
            image = self._image(sample, SMALL_TILE)
            if image is not None:
                each["image"] = large_uri(image)
            if classes:
                each["class"] = int(classes[position])
            if places:
                each["place"] = places[position]
            drawn.append(each)
        return drawn

    def _image(self, sample: Tensor, side: int) -> Image.Image | None:
        """An image in its own size; a drawing of a sample of another kind, if one alone can be drawn."""
        return to_image(sample) if self._kind.is_image else self._kind.tile(sample, side)

    @cached_property
    def _sounds(self) -> Sounds:
        return Sounds(self._kind)

    @cached_property
    def _kind(self) -> SampleKind:
        return self.found.kind

    @cached_property
    def _heat(self) -> HeatMaps:
        return HeatMaps(self.methods, self._kind)

    @cached_property
    def _samples(self) -> Tensor:
        return self.found.samples

    @cached_property
    def _colours(self) -> dict[int, int]:
        return class_colours(self.found.info)

    @cached_property
    def names(self) -> dict[int, str]:
        """Names of the classes that members, prior samples and the query have, by their index."""
        return class_names(self.found.info) | {
            record.called.index: record.called.name for record in self.found.members if record.called
        }

    @cached_property
    def _places(self) -> list[tuple[float, float]] | None:
        """Members, and last the query, in the square from 0 to 1, y downwards; None if they lie in no plane."""
        if self._kind.overview(self._samples.shape[1:]) != CONTOUR:
            return None
        points = self._samples if self.found.query is None else torch.cat([self._samples, self.found.query])
        reach = 1.1 * float(points.abs().max().clamp(min=1e-6))
        return [(round(x, 4), round(1 - y, 4)) for x, y in ((points / reach + 1) / 2).tolist()]

    def _member(self, position: int, record: Record, sample: Tensor, keys: Sequence[SortKey]) -> Card:
        shown, target = record.shown_values, self.found.info.target.values
        caption = format_values(shown, target) if shown else ""
        data: dict[str, Any] = {
            "index": record.index,
            "title": f"member {record.index}",
            "caption": caption,
            "numbers": {key.name: key.values[position] for key in keys},
            "facts": facts_of(record, self.found),
            "measured": shown,
            "file": record.own_file,
            **self._heat.of(position, [method.members.get(record.index) for method in self.methods]),
        }
        if record.called is not None:
            data |= {"class": record.called.index, "chance": record.called.probability}
        if record.index in self.nearest:
            data["nearest"] = self.nearest[record.index].data
        card = self._card(f"member {record.index}", sample, position, data)
        called = "" if record.called is None else record.called.name
        colour = None if record.called is None else self._colours.get(record.called.index)
        return Card(
            **vars(card) | {"index": record.index, "caption": caption, "called": called, "colour": colour},
        )

    def _card(self, title: str, sample: Tensor, position: int, data: dict[str, Any]) -> Card:
        image, sound = self._image(sample, LARGE_TILE), self._sounds.uri(sample)
        if image is None:
            return Card(title, "", "", False, self._places[position] if self._places else None, data, sound)
        thumbnail, large = thumbnail_uri(image), large_uri(image)
        if large != thumbnail:  # otherwise the page shows the thumbnail
            data["large"] = large
        return Card(title, "", thumbnail, max(image.size) < PIXELATED, None, data, sound)
