"""Spectra and attribution maps of samples, drawn for the strip below an open member."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from equidiff.analysis.figures.colours import Scale, is_signed
from equidiff.analysis.report.data_uris import heat_uri, small_maps
from equidiff.analysis.report.results import Method
from equidiff.contracts.sample_kind import SampleKind
from equidiff.metrics.spectral import mean_log_spectrum

SPECTRUM_COLOURS = "viridis"
SPECTRUM = (
    "Log power, brighter is more: frequency zero is in the middle, the Nyquist frequency at the edges. "
    "All spectra share one scale."
)


@dataclass(frozen=True)
class HeatMaps:
    """Draws the maps of the samples of a run; all spectra share one scale.

    Args:
        methods: attribution methods with maps of the members.
        kind: of the samples.
    """

    methods: Sequence[Method]
    kind: SampleKind
    _spectra: list[Tensor] = field(default_factory=list)

    def measure(self, samples: Sequence[Tensor], done: Callable[[int], None]) -> None:
        """Measure log power of samples `[channels, height, width]`; nothing if they are not images.

        Args:
            samples: in the order in which `of` is asked for them.
            done: called with the number of those that are measured.
        """
        # one at a time: in double precision, all of them may not fit into memory
        for position, each in enumerate(samples):
            if self.kind.is_image:
                self._spectra.append(small_maps(mean_log_spectrum(each[None])[None])[0])
            done(position + 1)

    def of(self, position: int, maps: Sequence[Tensor | None]) -> dict[str, Any]:
        """Images of one sample, for the page's script.

        Args:
            position: of the sample among those measured.
            maps: one of each method, or None where it has none of this sample.
        """
        drawn = [
            {"method": method.spec, "picture": image, "about": about}
            for method, values in zip(self.methods, maps, strict=True)
            if values is not None
            for image, about in [_attribution(values, self._signed[method.spec])]
        ]
        if not self._spectra:
            return {"maps": drawn}
        return {"spectrum": heat_uri(self._spectra[position], *self._range, SPECTRUM_COLOURS), "maps": drawn}

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


def _existing(maps: Tensor | None) -> list[Tensor]:
    return [] if maps is None else [maps]


def _attribution(values: Tensor, signed: bool) -> tuple[str, str]:
    """Draw a map in colours, with an explanation of them."""
    values = small_maps(values.float().reshape(1, *values.shape[-2:]))[0].nan_to_num()
    if values.shape[0] == 1:  # a row of places, as high as a quarter of its width
        values = values.repeat(max(values.shape[1] // 4, 1), 1)
    scale = Scale.of([values.numpy()], signed)
    return heat_uri(values, scale.low, scale.high, scale.colours), f"{scale.legend} Each map has its own scale."
