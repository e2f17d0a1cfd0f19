"""The picture of the documentation: an image of each scenario and background, and the precision of the methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.tris.data import BACKGROUNDS, SCENARIOS, SIDE, make
from benchmarks.tris.methods import CAPTUM, CONTROLS, GENERATOR, ROWS

Summary = Mapping[tuple[str, str, str], tuple[float, float | None] | None]
COLOURS = dict.fromkeys(CAPTUM, "#7F7F7F") | dict.fromkeys(GENERATOR, "#D55E00") | dict.fromkeys(CONTROLS, "#000000")
MARKERS = {"WHITE": "o", "CORR": "s", "NATURAL": "^"}
PLACE, FRAME = 7, "#56B4E9"


def draw(found: list[dict[str, Any]], precisions: Summary, path: Path) -> None:
    """Draw the picture.

    Args:
        found: what the seeds gave of one network, for the share of the signal in each cell.
        precisions: mean and standard deviation by scenario, background and method.
        path: of the file.
    """
    alphas = {(each["scenario"], each["background"]): each["alpha"] for each in found}
    figure = Figure(figsize=(12, 9.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 3.4))
    axes = top.subplots(1, len(SCENARIOS) * len(BACKGROUNDS))
    for axis, (scenario, background) in zip(axes, [(s, b) for s in SCENARIOS for b in BACKGROUNDS], strict=True):
        data = make(scenario, background, alphas.get((scenario, background), 0.5), 100, 50)
        axis.imshow(data.images[PLACE].reshape(SIDE, SIDE), cmap="gray")
        fine = np.kron(data.truth[PLACE].reshape(SIDE, SIDE), np.ones((20, 20)))  # so that corners are square
        axis.contour(fine, levels=[0.5], colors=FRAME, linewidths=1, extent=(-0.5, SIDE - 0.5, -0.5, SIDE - 0.5))
        axis.set_title(f"{scenario}\n{background}", fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
    measured = [each for each in SCENARIOS if any(scenario == each for scenario, _, _ in precisions)]
    for axis, scenario in zip(bottom.subplots(1, len(measured), sharey=True, squeeze=False)[0], measured, strict=True):
        _draw_scenario(axis, scenario, precisions)
    figure.savefig(path, dpi=110)


def _draw_scenario(axis: Any, scenario: str, precisions: Summary) -> None:
    """The precision of every method in one scenario, a mark for each background."""
    for background, marker in MARKERS.items():
        for height, row in enumerate(reversed(ROWS)):
            value = precisions.get((scenario, background, row))
            if value is not None:
                offset = 0.2 * (list(MARKERS).index(background) - 1)
                style = {"color": COLOURS[row], "mfc": "white" if background == "CORR" else COLOURS[row]}
                axis.errorbar(value[0], height - offset, xerr=value[1], fmt=marker, ms=5, lw=1, **style)
        axis.plot([], [], marker, color="#7F7F7F", mfc="white" if background == "CORR" else "#7F7F7F", label=background)
    axis.set(title=scenario, xlim=(-0.03, 1.03), xlabel="precision")
    axis.set_yticks(range(len(ROWS)), list(reversed(ROWS)), fontsize=8)
    axis.grid(axis="y", alpha=0.3)
    if scenario == SCENARIOS[0]:
        axis.legend(fontsize=8, loc="lower right")
