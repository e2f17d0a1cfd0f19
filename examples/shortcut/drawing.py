"""The picture: sets above, attribution maps below."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from shortcut.criterion import GONE, MARKED
from shortcut.experiment import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from torch import Tensor

SHOWN = 12  # members
RED, BLUE = "#d55e00", "#0072b2"  # Okabe and Ito's


def draw_looks(path: Path, looks: list[Look]) -> None:
    """Write the picture of one seed's looks: a row of members for each, a row of maps for each marked query."""
    marked = [look for look in looks if look.query == "marked"]
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(14, 9.2), dpi=80, layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[1.75, 1])
        _draw_sets(above, looks)
        _draw_maps(below, marked)
        figure.savefig(path)


def _draw_sets(figure: SubFigure, looks: list[Look]) -> None:
    figure.suptitle(
        "Queries, and members of their invariant sets, those that have lost the star first (number: logit)", fontsize=11
    )
    panels = figure.subplots(len(looks), SHOWN + 1)
    for row, look in zip(panels, looks, strict=True):
        found = look.found
        assert found.query is not None  # it was given
        _show(row[0], found.query[0], f"query {found.target.item():.2f}", "black")
        _label(row[0], f"{look.network} network,\n{look.query} query")
        order = look.objects.argsort()[:: max(1, len(found) // SHOWN)][:SHOWN].tolist()
        for panel in row[1 + len(order) :]:
            panel.axis("off")
        for panel, member in zip(row[1:], order, strict=False):
            gone, mark = look.objects[member] < GONE, look.marks[member] > MARKED
            text = f"{found.measurements[member].item():.2f}"
            _show(panel, found.samples[member], text, RED if gone else BLUE)
            panel.set_xlabel(
                f"{'no star' if gone else 'star'}{', marked' if mark else ''}", color=RED if gone else BLUE
            )


def _draw_maps(figure: SubFigure, looks: list[Look]) -> None:
    figure.suptitle(
        "Attribution maps of the marked query (dark: none, bright: strongest; outlined: the mark; "
        "below: strongest pixels on it)",
        fontsize=11,
    )
    panels = figure.subplots(len(looks), len(looks[0].maps))
    for row, look in zip(panels, looks, strict=True):
        _label(row[0], f"{look.network}\nnetwork")
        for panel, (name, values) in zip(row, look.maps.items(), strict=True):
            verdict = look.by_map[name]
            panel.imshow(values, cmap="cividis", vmin=0)
            panel.contour(look.mark.float(), levels=[0.5], colors="white", linewidths=1.2)
            panel.set(xticks=[], yticks=[])
            panel.set_title(name.replace(" ", "\n", 1), fontsize=8.5)
            colour = RED if verdict.exposed else BLUE
            panel.set_xlabel(f"{verdict.counts[0]} of {verdict.counts[1]}", color=colour)
            for spine in panel.spines.values():
                spine.set(color=colour, linewidth=2)


def _show(panel: Axes, sample: Tensor, title: str, colour: str) -> None:
    panel.imshow(sample.clamp(0, 1).permute(1, 2, 0))
    panel.set(xticks=[], yticks=[])
    panel.set_title(title, fontsize=9, pad=3)
    for spine in panel.spines.values():
        spine.set(color=colour, linewidth=2)


def _label(panel: Axes, text: str) -> None:
    panel.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=10)
