"""`path.png`: the frames of a path beside each other, with their values."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw
from torch import Tensor

from equidiff.analysis.figures.overview import headline, show_values, shown_value
from equidiff.analysis.figures.plane import Marked, Measure, draw_plane
from equidiff.analysis.path.search import SetPath
from equidiff.images.canvas import ACCENT, CAPTION, CELL, FAINT, GAP, INK, MARGIN, fit, font
from equidiff.images.convert import is_image, to_image
from equidiff.run.invariant_set import InvariantSet

COLUMNS = 9
ZOOM = 3  # of an animation's frames
BLANK = "#eaeef2"


def draw_path(path: SetPath, found: InvariantSet, measure: Measure) -> Image.Image | None:
    """The path; in the plane, a line on the map of the objective.

    Args:
        path: what to show. Frames that are not members are left blank, and said to be.
        found: the set that it lies in.
        measure: the objective, from samples to measurements; for the map.

    Returns:
        The picture; None where samples cannot be drawn.
    """
    titles = headline(found)[0], _subtitle(path)
    if is_image(found.samples):
        return _draw_strip(path, found, titles)
    if found.samples.shape[1:] != (2,):
        return None
    marked = Marked("path", path.rows["samples"][path.members], joined=True)
    return draw_plane(found, measure, titles, "", marked)


def animate(path: SetPath, side: int = ZOOM * CELL) -> list[Image.Image]:
    """The frames that are members, there and back again, each as large as fits in a square."""
    samples = path.rows["samples"][path.members]
    pictures = [fit(to_image(sample), side) for sample in samples]
    return [*pictures, *pictures[-2:0:-1]]


def _subtitle(path: SetPath) -> str:
    first, second = path.ends
    return f"member {first} to member {second}: {len(path.members)} of {len(path.records)} frames are members"


def _draw_strip(path: SetPath, found: InvariantSet, titles: tuple[str, str]) -> Image.Image:
    count = len(path.records)
    rows = math.ceil(count / COLUMNS)
    columns = math.ceil(count / rows)
    top, step = MARGIN + 68, CELL + GAP
    least = max(font(24).getlength(titles[0]), font(15).getlength(titles[1]))
    width = max(2 * MARGIN + columns * step - GAP, 2 * MARGIN + math.ceil(least))
    canvas = Image.new("RGB", (width, top + rows * (step + CAPTION) + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN - 4), titles[0], INK, font(24))
    draw.text((MARGIN, MARGIN + 30), titles[1], FAINT, font(15))
    members = set(path.members)
    target = found.info.target.values
    for position, (record, sample) in enumerate(zip(path.records, path.rows["samples"], strict=True)):
        row, column = divmod(position, columns)
        corner = (MARGIN + column * step, top + row * (step + CAPTION))
        if position in members:
            caption = show_values(shown_value(record), target)
            ends = position in {0, count - 1}
            _put(canvas, sample, corner, caption, ACCENT if ends else INK)
        else:
            _put(canvas, None, corner, "no member", FAINT)
    return canvas


def _put(canvas: Image.Image, sample: Tensor | None, corner: tuple[int, int], caption: str, ink: str) -> None:
    x, y = corner
    draw = ImageDraw.Draw(canvas)
    if sample is None:
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=BLANK)
    else:
        picture = fit(to_image(sample), CELL)
        canvas.paste(picture, (x + (CELL - picture.width) // 2, y + (CELL - picture.height) // 2))
    draw.text((x + CELL // 2, y + CELL + 6), caption, ink, font(15), anchor="ma")
