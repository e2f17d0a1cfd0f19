"""The figure: sets above, attribution maps below."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from shortcut.criterion import LOST
from shortcut.experiment import Decision

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from torch import Tensor

SHOWN = 12  # members
RED, BLUE = "#d55e00", "#0072b2"  # Okabe and Ito's
LABEL = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 10}


def draw_decisions(path: Path, decisions: list[Decision]) -> None:
    """Write the figure of one seed: a row of members for each decision, a row of maps for each marked query."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(14, 10.5), dpi=90, layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[1.9, 1])
        _draw_sets(above, decisions)
        _draw_maps(below, [each for each in decisions if each.query == "marked"])
        figure.savefig(path)


def _draw_sets(figure: SubFigure, decisions: list[Decision]) -> None:
    figure.suptitle(
        "Queries, and members of their invariant sets: sorted by share of star (top: logit; orange: no star)"
    )
    panels = figure.subplots(len(decisions), SHOWN + 1, squeeze=False)
    for row, decision in zip(panels, decisions, strict=True):
        found = decision.found
        assert found.query is not None  # it was given
        _show(row[0], found.query[0], f"query {found.target.item():.2f}", "black")
        row[0].set_ylabel(f"{decision.trained.kind} network,\n{decision.query} query", **LABEL)
        order = decision.objects.argsort().tolist()
        evenly = [order[k * len(order) // SHOWN] for k in range(SHOWN)] if len(order) > SHOWN else order
        for panel in row[1 + len(evenly) :]:
            panel.axis("off")
        for panel, member in zip(row[1:], evenly, strict=False):
            lost = decision.objects[member] < LOST
            colour = RED if lost else BLUE
            _show(panel, found.samples[member], f"{found.measurements[member].item():.2f}", colour)
            kept = "no star" if lost else "star" if decision.objects[member] > 1 - LOST else "in between"
            panel.set_xlabel(f"{kept},\n{'marked' if decision.marked[member] else 'clean'}", color=colour)


def _draw_maps(figure: SubFigure, decisions: list[Decision]) -> None:
    figure.suptitle(
        "Attribution maps of the marked query (box: the mark; below: strongest pixels on it; orange: exposed)"
    )
    panels = figure.subplots(len(decisions), len(decisions[0].maps), squeeze=False)
    for row, decision in zip(panels, decisions, strict=True):
        row[0].set_ylabel(f"{decision.trained.kind}\nnetwork", **LABEL)
        for panel, (name, values) in zip(row, decision.maps.items(), strict=True):
            verdict = decision.by_map[name]
            panel.imshow(values.numpy(), cmap="cividis", vmin=0)
            panel.add_patch(_outline(decision.mark))
            panel.set_title(name.replace(" ", "\n", 1), fontsize=8.5)
            _frame(panel, RED if verdict.exposed else BLUE)
            panel.set_xlabel(f"{verdict.counts[0]} of {verdict.counts[1]}", color=RED if verdict.exposed else BLUE)


def _outline(mark: Tensor) -> Rectangle:
    rows, columns = mark.nonzero().T
    corner = (columns.min().item() - 1, rows.min().item() - 1)
    sides = (columns.max() - columns.min()).item() + 2, (rows.max() - rows.min()).item() + 2
    return Rectangle(corner, *sides, fill=False, edgecolor="white", linewidth=1.2)


def _show(panel: Axes, sample: Tensor, title: str, colour: str) -> None:
    panel.imshow(sample.clamp(0, 1).permute(1, 2, 0).numpy())
    panel.set_title(title, fontsize=9, pad=3)
    _frame(panel, colour)


def _frame(panel: Axes, colour: str) -> None:
    panel.set(xticks=[], yticks=[])
    for spine in panel.spines.values():
        spine.set(color=colour, linewidth=2)
