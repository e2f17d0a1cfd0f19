"""`compare.png` and `freedom.png`: maps side by side; the freedom of each pixel beside its importance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from equidiff.analysis.compare.freedom import LATENT
from equidiff.analysis.figures.colours import Scale
from equidiff.analysis.figures.layout import EDGE, Sheet, fold, lines_height, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from equidiff.analysis.compare.comparison import Subject
    from equidiff.analysis.compare.freedom import Freedom

MEMBERS = 6  # shown in a row
COLUMNS = 4  # of freedom.png
MAP, PIXELS = 1.25, 1.6  # inches: the longer side of a panel of compare.png and of freedom.png
GAP = 0.14
LABEL = 1.4  # inches for the name of a method
BAR = 0.85  # inches for a colour bar and its numbers
NARROWEST = 4.6
TITLE, SMALL, TICKS = 10, 8.5, 7.5  # points
DPI = 120


def plot_maps(subject: Subject, maps: Mapping[str, Mapping[str, Tensor]], scalar: Mapping[str, Any]) -> Figure:
    """Draw the query and some members, and a row of maps for each method.

    Args:
        subject: the measurement and the samples.
        maps: by spec, `query` [1, height, width] where there is one, and `members` [n, height, width].
        scalar: name, unit and values of the measurement, as in `attributions.json`.
    """
    shown = range(min(MEMBERS, len(subject.members)))
    titles = [f"member {subject.members[place]}" for place in shown]
    values = [scalar["members"][place] for place in shown]
    if subject.query:
        titles, values = ["query", *titles], [scalar["query"], *values]
    size = subject.panels.size(MAP)
    labels = {spec: fold(spec, LABEL, SMALL) for spec in maps}
    left = 2 * EDGE + max(text_width(label, SMALL) for label in labels.values())
    width = max(left + len(titles) * (size[0] + GAP) + BAR, NARROWEST)
    rows = {spec: [*own.get("query", ()), *(own["members"][place] for place in shown)] for spec, own in maps.items()}
    scales = {spec: Scale.of([image.numpy() for image in images]) for spec, images in rows.items()}
    title = fold(f"Attribution of {scalar['name']} ({scalar['unit']})", width - 2 * EDGE, TITLE)
    note = fold(_legend(scales.values()), width - 2 * EDGE, SMALL)
    top = 2 * EDGE + lines_height(title, TITLE) + lines_height(note, SMALL) + lines_height("\n", SMALL) + EDGE
    sheet = Sheet(width, top + (len(maps) + 1) * (size[1] + GAP) + subject.panels.room, DPI)
    _write_title(sheet, title, note)
    for axes, name, value, sample in zip(
        sheet.row(left, top, len(titles), size, GAP), titles, values, subject.samples, strict=False
    ):
        subject.panels.show_sample(axes, sample)
        axes.set_title(f"{name}\n{value:.3g}", fontsize=SMALL, pad=3)
    for place, (spec, images) in enumerate(rows.items(), start=1):
        here = top + place * (size[1] + GAP)
        panels = sheet.row(left, here, len(images), size, GAP)
        draw = partial(subject.panels.show_map, scale=scales[spec])
        shades = [draw(axes, each.numpy()) for axes, each in zip(panels, images, strict=True)]
        bar = sheet.axes(left + len(images) * (size[0] + GAP), here + 0.05 * size[1], 0.1, 0.9 * size[1])
        _draw_bar(sheet, bar, shades[-1], "vertical")
        subject.panels.name_columns(panels if place == len(rows) else ())
        panels[0].set_ylabel(labels[spec], fontsize=SMALL, rotation=0, ha="right", va="center", labelpad=6)
    return sheet.figure


def plot_freedom(
    subject: Subject,
    freedom: Freedom,
    maps: Mapping[str, Mapping[str, Tensor]],
    scores: Mapping[str, float | None],
) -> Figure:
    """Draw the freedom of each pixel near the query, beside its importance to each method.

    Args:
        subject: the measurement and the samples; has a query.
        freedom: freedom of the pixels near the query.
        maps: as for `plot_maps`.
        scores: by spec, the area under the ROC curve.
    """
    size = subject.panels.size(PIXELS)
    width = 2 * EDGE + COLUMNS * (size[0] + 2 * GAP) - 2 * GAP + 0.2
    names = {spec: fold(spec, size[0], SMALL) for spec in maps}
    title, note = _about_freedom(subject, freedom, width - 2 * EDGE)
    name_room = [lines_height(name, SMALL) for name in names.values()]
    method_top = max(name_room) + lines_height("AUC", SMALL) + EDGE
    first = 2 * EDGE + lines_height(title, TITLE) + lines_height(note, SMALL) + EDGE + lines_height("query", SMALL)
    second = first + size[1] + 0.5 + method_top  # below the colour bars
    step = size[1] + method_top + 2 * GAP
    sheet = Sheet(width, second + math.ceil(len(maps) / COLUMNS) * step - method_top, DPI)
    _write_title(sheet, title, note)
    _draw_measured(sheet, first, size, subject, freedom)
    for place, (spec, own) in enumerate(maps.items()):
        row, column = divmod(place, COLUMNS)
        (axes,) = sheet.row(EDGE + column * (size[0] + 2 * GAP), second + row * step, 1, size, 0)
        image = own["query"][0].abs().numpy()
        subject.panels.show_map(axes, image, Scale.of([image], signed=False))
        score = scores[spec]
        found = "no AUC" if score is None else f"AUC {score:.2f}"
        axes.set_title(f"{names[spec]}\n{found}", fontsize=SMALL, pad=3)
    return sheet.figure


def _about_freedom(subject: Subject, freedom: Freedom, width: float) -> tuple[str, str]:
    """Title and note, folded to a width in inches."""
    kind = subject.panels.kind
    how = "started near the query" if freedom.measure == LATENT else f"that happen to be nearest by {freedom.measure}"
    scale = ", pixels go from 0 to 1" if kind.is_image else ""
    title = f"{kind.values.capitalize()} the set leaves free, and {kind.values} that methods call important"
    note = (
        f"Freedom: distance from the query (root mean square{scale}) of {len(freedom.members)} members {how}; "
        "relative: over that of prior samples, where those differ.\n"
        "Below, brighter: more important to the method. AUC: where prior samples differ, importance ranks the "
        f"{kind.values} that the set leaves as they are; 0.5 is chance."
    )
    return fold(title, width, TITLE), fold(note, width, SMALL)


def _draw_measured(sheet: Sheet, top: float, size: tuple[float, float], subject: Subject, freedom: Freedom) -> None:
    """Draw the query, and the distances from it with their colour bars."""
    panels = sheet.row(EDGE, top, COLUMNS, size, 2 * GAP)
    subject.panels.show_sample(panels[0], subject.samples[0])
    panels[0].set_title("query", fontsize=SMALL, pad=3)
    seen = np.where(freedom.seen.numpy(), freedom.relative.numpy(), np.nan)
    images = {"freedom": freedom.freedom.numpy(), "prior samples": freedom.prior.numpy(), "freedom, relative": seen}
    for place, (axes, (name, image)) in enumerate(zip(panels[1:], images.items(), strict=True), start=1):
        shades = subject.panels.show_map(axes, image, Scale.of([image], signed=False))
        axes.set_title(name, fontsize=SMALL, pad=3)
        below = sheet.axes(EDGE + place * (size[0] + 2 * GAP), top + size[1] + 0.08, size[0], 0.08)
        _draw_bar(sheet, below, shades, "horizontal")


def _legend(scales: Iterable[Scale]) -> str:
    meanings = sorted({scale.legend for scale in scales}, reverse=True)
    return " ".join([*meanings, "Each row has a scale of its own. The numbers are the measurement."])


def _write_title(sheet: Sheet, title: str, note: str) -> None:
    sheet.text(EDGE, EDGE, title, TITLE)
    sheet.text(EDGE, EDGE + lines_height(title, TITLE), note, SMALL, "dimgrey")


def _draw_bar(sheet: Sheet, axes: Axes, shades: Any, orientation: str) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    wide = axes.get_window_extent().width > PIXELS * DPI / 2
    bar = sheet.figure.colorbar(shades, cax=axes, orientation=orientation)
    bar.locator = MaxNLocator(4 if wide or orientation == "vertical" else 2)
    # matplotlib would write a common factor, such as 1e-5, over the maps
    bar.formatter = FuncFormatter(lambda value, _: f"{value:.3g}")
    bar.update_ticks()
    bar.ax.tick_params(labelsize=TICKS)
