"""Panels of a comparison: a sample, and a map over it, as an image, as a strip over time, or as bars over columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from equidiff.analysis.figures.colours import Scale
from equidiff.contracts import SampleKind
from equidiff.contracts.sample_kind import BARS, PIXELS, STRIP
from equidiff.folders.text import printable
from equidiff.images.canvas import INK
from equidiff.images.convert import to_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STRIP_SIZE, BARS_SIZE = (1.9, 0.62), (1.5, 0.9)  # inches, where an image has a side of one
LONGEST = 14  # letters of a name
NAMES = 1.15  # inches below bars
SMALL = 7.5  # points


@dataclass(frozen=True)
class Panels:
    """Draws samples of one kind, and maps over them.

    Attributes:
        kind: of the samples.
        shape: of one sample.
    """

    kind: SampleKind
    shape: tuple[int, ...]

    @property
    def style(self) -> str:
        """Drawing of a map."""
        return self.kind.maps(self.shape)

    @property
    def room(self) -> float:
        """Inches below the last row, for names of columns."""
        return NAMES if self.style == BARS and self.kind.names(self.shape) else 0.0

    def size(self, side: float) -> tuple[float, float]:
        """Width and height of a panel, in inches, where the longer side of an image has `side`."""
        if self.style != PIXELS:
            width, height = STRIP_SIZE if self.style == STRIP else BARS_SIZE
            return side * width, side * height
        height, width = self.shape[1:]
        return side * width / max(height, width), side * height / max(height, width)

    def show_sample(self, axes: Axes, sample: Tensor) -> None:
        """Draw a sample `[channels, height, width]`, as attribution methods see it."""
        axes.set(xticks=[], yticks=[])
        if self.style == PIXELS:
            axes.imshow(np.asarray(to_image(sample)), cmap="gray", vmin=0, vmax=255)
            return
        numbers = sample.detach().cpu().flatten(1).numpy()
        if self.style == STRIP:
            for channel in numbers:
                axes.plot(channel, color=INK, lw=0.6)
            axes.margins(x=0)
        else:
            axes.bar(range(numbers.shape[1]), numbers[0], color="#8c959f", width=0.8)
            axes.set_xlim(-0.5, numbers.shape[1] - 0.5)

    def show_map(self, axes: Axes, values: np.ndarray, scale: Scale) -> Any:
        """Draw a map `[height, width]`, and return what has its colours, for a colour bar."""
        axes.set(xticks=[], yticks=[])
        if self.style != BARS:
            aspect = "equal" if self.style == PIXELS else "auto"
            style = {"cmap": scale.colours, "vmin": scale.low, "vmax": scale.high}
            return axes.imshow(values, aspect=aspect, **style)
        return self._show_bars(axes, values.flatten(), scale)

    def name_columns(self, rows: Iterable[Axes]) -> None:
        """Write the names of the columns below bars."""
        names = [printable(name) for name in self.kind.names(self.shape)]
        if self.style != BARS or not names:
            return
        shown = [name if len(name) <= LONGEST else name[: LONGEST - 1] + "…" for name in names]
        for axes in rows:
            axes.set_xticks(range(len(shown)), shown, rotation=90, fontsize=SMALL, parse_math=False)

    def _show_bars(self, axes: Axes, values: np.ndarray, scale: Scale) -> Any:
        from matplotlib import colormaps
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        shades = ScalarMappable(Normalize(scale.low, scale.high), colormaps[scale.colours])
        style = {"width": 0.8, "edgecolor": "#57606a", "linewidth": 0.4}
        axes.bar(range(len(values)), values, color=shades.to_rgba(values), **style)
        axes.axhline(0, color="#57606a", lw=0.6)
        low, high = min(scale.low, float(values.min()), 0.0), max(scale.high, float(values.max()))
        axes.set(xlim=(-0.5, len(values) - 0.5), ylim=(low, high))
        return shades
