"""`path.png`: a filmstrip of the frames of a path, with their values."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw

from equidiff.analysis.figures.captions import format_values, headline
from equidiff.analysis.figures.contour_plot import Highlight, Measure, draw_contour_plot
from equidiff.analysis.figures.parallel import draw_parallel
from equidiff.analysis.path.search import SetPath
from equidiff.contracts.sample_kind import LINES, SHEET
from equidiff.images.canvas import ACCENT, CAPTION, CELL, FAINT, GAP, INK, MARGIN, fit, font
from equidiff.images.convert import to_image
from equidiff.run.invariant_set import InvariantSet

COLUMNS = 9
ZOOM = 3  # of the frames of an animation
BLANK = "#eaeef2"


def draw_path(path: SetPath, found: InvariantSet, measure: Measure) -> Image.Image:
    """Draw the path as a filmstrip, or on the plot that samples of the kind have.

    Args:
        path: the path to show. Frames that are not members are left blank and captioned so.
        found: the set that it lies in.
        measure: the objective, from samples to measurements; for the contour plot.

    Returns:
        The image.
    """
    titles = headline(found)[0], describe_frames(path)
    overview = found.kind.overview(found.sample_shape)
    if overview == SHEET:
        return _draw_filmstrip(path, found, titles)
    if overview == LINES:
        return draw_parallel(found, titles, "", Highlight("path", path.rows["samples"][path.members], joined=True))
    breaks = tuple(path.members.index(before) for before, _ in path.jumps)
    highlight = Highlight("path", path.rows["samples"][path.members], True, breaks)
    return draw_contour_plot(found, measure, titles, "", highlight)


def animate(path: SetPath, side: int = ZOOM * CELL) -> list[Image.Image]:
    """Draw the frames that are members, forward and back again, each fitted into a square."""
    samples = path.rows["samples"][path.members]
    images = [fit(to_image(sample), side) for sample in samples]
    return [*images, *images[-2:0:-1]]


def describe_frames(path: SetPath) -> str:
    """One line: the ends, the number of frames that are members, and the jumps."""
    first, second = path.ends
    places = " and ".join(f"from frame {before} to frame {after}" for before, after in path.jumps)
    members = f"member {first} to member {second}: {len(path.members)} of {len(path.records)} frames are members"
    return members + (f"; it jumps {places}" if places else "")


def _draw_filmstrip(path: SetPath, found: InvariantSet, titles: tuple[str, str]) -> Image.Image:
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
            caption = format_values(record.shown_values, target)
            ends = position in {0, count - 1}
            _put(canvas, found.kind.tile(sample, CELL), corner, caption, ACCENT if ends else INK)
        else:
            _put(canvas, None, corner, "not a member", FAINT)
    for _, after in path.jumps:
        row, column = divmod(after, columns)
        _mark_jump(draw, (MARGIN + column * step, top + row * (step + CAPTION)))
    return canvas


def _mark_jump(draw: ImageDraw.ImageDraw, corner: tuple[int, int]) -> None:
    """Draw a bar before the frame that the path jumps to."""
    x, y = corner
    draw.rectangle((x - GAP // 2 - 2, y, x - GAP // 2 + 1, y + CELL - 1), fill=ACCENT)


def _put(canvas: Image.Image, tile: Image.Image | None, corner: tuple[int, int], caption: str, ink: str) -> None:
    x, y = corner
    draw = ImageDraw.Draw(canvas)
    if tile is None:
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=BLANK)
    else:
        canvas.paste(tile, (x + (CELL - tile.width) // 2, y + (CELL - tile.height) // 2))
    draw.text((x + CELL // 2, y + CELL + 6), caption, ink, font(15), anchor="ma")
