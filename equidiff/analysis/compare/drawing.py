"""`compare.png` and `freedom.png`: maps side by side; the freedom of each pixel beside its importance."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from torch import Tensor

from equidiff.analysis.compare.freedom import LATENT
from equidiff.images.convert import to_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from equidiff.analysis.compare.comparison import Subject
    from equidiff.analysis.compare.freedom import Freedom

MEMBERS = 6  # shown in a row
COLUMNS = 6  # of freedom.png
CELL = 1.25  # inches
SIGNED, UNSIGNED = "PuOr_r", "cividis"
EXTREME = 99.5  # the percentile of a row's values that has the strongest colour


def draw_maps(subject: Subject, maps: Mapping[str, Mapping[str, Tensor]], scalar: Mapping[str, Any]) -> Image.Image:
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
    figure, axes = _panels(len(maps) + 1, len(titles), CELL * len(titles) + 3.2)
    title = f"Attribution of {scalar['name']} ({scalar['unit']})"
    _title(figure, title, "each row has its own scale; the numbers are the measurement")
    for axis, label, value, sample in zip(axes[0], titles, values, subject.samples, strict=False):
        _show_sample(axis, sample)
        axis.set_title(f"{label}\n{value:.3g}", fontsize=9)
    for row, (spec, own) in zip(axes[1:], maps.items(), strict=True):
        images = [*own.get("query", ()), *(own["members"][place] for place in shown)]
        _row(figure, row, spec, [image.numpy() for image in images])
    return _render(figure)


def draw_freedom(
    subject: Subject,
    freedom: Freedom,
    maps: Mapping[str, Mapping[str, Tensor]],
    scores: Mapping[str, float | None],
) -> Image.Image:
    """Draw the freedom of each pixel near the query, beside its importance to each method.

    Args:
        subject: the measurement and the samples; has a query.
        freedom: freedom of the pixels near the query.
        maps: as for `draw_maps`.
        scores: by spec, the area under the ROC curve.
    """
    columns = min(COLUMNS, max(4, len(maps)))
    figure, axes = _panels(1 + math.ceil(len(maps) / columns), columns, 1.7 * columns + 0.4, 2.1)
    how = "started near the query" if freedom.measure == LATENT else "that happen to be nearest by pixels"
    _title(
        figure,
        "Pixels the set leaves free, and pixels that methods call important",
        f"distance from the query (root mean square, pixels go from 0 to 1) of {len(freedom.members)} members {how}\n"
        "AUC: where prior samples differ, importance ranks the pixels that the set leaves as they are; 0.5 is chance",
    )
    _show_sample(axes[0, 0], subject.samples[0])
    axes[0, 0].set_title("query", fontsize=9)
    seen = np.where(freedom.seen.numpy(), freedom.relative.numpy(), np.nan)
    for axis, title, image in (
        (axes[0, 1], "freedom", freedom.freedom.numpy()),
        (axes[0, 2], "prior samples", freedom.prior.numpy()),
        (axes[0, 3], "freedom, relative", seen),
    ):
        axis.set_title(title, fontsize=9)
        shades = axis.imshow(image, cmap=UNSIGNED, vmin=0, vmax=np.nanpercentile(image, EXTREME))
        # below the panel: beside it, it would push the columns apart
        bar = figure.colorbar(shades, cax=axis.inset_axes((0, -0.09, 1, 0.05)), orientation="horizontal")
        bar.ax.tick_params(labelsize=7)
        bar.ax.locator_params(nbins=4)
    for axis, (spec, own) in zip(axes[1:].flat, maps.items(), strict=False):
        image = own["query"][0].abs().numpy()
        axis.imshow(image, cmap=UNSIGNED, vmin=0, vmax=_extreme([image]))
        score = scores[spec]
        axis.set_title(f"{_wrapped(spec, 20)}\n" + ("no AUC" if score is None else f"AUC {score:.2f}"), fontsize=8)
    for axis in axes.flat:
        axis.set_axis_off()
    return _render(figure)


def _panels(rows: int, columns: int, width: float, height: float = CELL * 1.06) -> tuple[Figure, np.ndarray]:
    # the object API: pyplot would keep state and may want a display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, rows * height + 0.9), dpi=120, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _title(figure: Figure, title: str, subtitle: str) -> None:
    figure.suptitle(f"{title}\n{subtitle}", fontsize=9, x=0.01, ha="left")


def _show_sample(axis: Axes, sample: Tensor) -> None:
    axis.imshow(np.asarray(to_image(sample)), cmap="gray", vmin=0, vmax=255)
    axis.set(xticks=[], yticks=[])


def _row(figure: Figure, axes: Sequence[Axes], spec: str, images: Sequence[np.ndarray]) -> None:
    """Draw one method's maps: violet to orange through white if they have both signs, else dark to bright."""
    extreme = _extreme(images)
    signed = any(image.min() < 0 for image in images)
    style: dict[str, Any] = {"cmap": SIGNED if signed else UNSIGNED, "vmin": -extreme if signed else 0, "vmax": extreme}
    shades = [axis.imshow(image, **style) for axis, image in zip(axes, images, strict=True)]
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    axes[0].set_ylabel(_wrapped(spec, 18), fontsize=8, rotation=0, ha="right", va="center")
    # outside the last panel, which it must not push aside
    bar = figure.colorbar(shades[-1], cax=axes[-1].inset_axes((1.06, 0.06, 0.07, 0.88)))
    bar.ax.tick_params(labelsize=7)
    bar.ax.locator_params(nbins=4)


def _extreme(images: Sequence[np.ndarray]) -> float:
    return float(np.percentile(np.abs(np.stack(images)), EXTREME)) or 1.0


def _wrapped(text: str, width: int) -> str:
    """Break a spec into lines after commas, colons and underscores."""
    lines = [""]
    for part in re.findall(r"[^,:_]*[,:_]?", text):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _render(figure: Figure) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
