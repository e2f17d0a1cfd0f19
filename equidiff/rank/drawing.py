"""Drawing of `top.png`: units, each with the images that activate it most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from equidiff.errors import QueryError
from equidiff.images.canvas import ACCENT, CAPTION, CELL, FAINT, GAP, INK, MARGIN, fit
from equidiff.images.read import read_image
from equidiff.rank.unit import TopImage, Unit

LABEL_WIDTH = 200  # pixels left of a unit's images
MAX_IMAGES = 8  # per unit


def draw_units(units: Sequence[Unit], images: Path, titles: tuple[str, str], notes: Sequence[str]) -> Image.Image:
    """Draw a row for each unit.

    Args:
        units: the units, from top to bottom.
        images: the folder of the images.
        titles: a larger and a smaller line above them.
        notes: a line or two about each unit, e.g. its place in the order.
    """
    columns = min(MAX_IMAGES, max(len(unit.top) for unit in units))
    step, top = CELL + GAP, MARGIN + 68
    row_height = step + CAPTION
    width = MARGIN + LABEL_WIDTH + columns * step - GAP + MARGIN
    width = max(width, 2 * MARGIN + round(max(_font(24).getlength(titles[0]), _font(15).getlength(titles[1]))))
    canvas = Image.new("RGB", (width, top + len(units) * row_height + MARGIN - GAP), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN - 4), titles[0], INK, _font(24))
    draw.text((MARGIN, MARGIN + 30), titles[1], FAINT, _font(15))
    for row, (unit, note) in enumerate(zip(units, notes, strict=True)):
        y = top + row * row_height
        draw.text((MARGIN, y + 18), f"unit {unit.index}", ACCENT, _font(19))
        draw.multiline_text((MARGIN, y + 48), note, FAINT, _font(13), spacing=5)
        for column, image in enumerate(unit.top[:MAX_IMAGES]):
            _put(canvas, images, image, (MARGIN + LABEL_WIDTH + column * step, y))
    return canvas


def _put(canvas: Image.Image, folder: Path, image: TopImage, corner: tuple[int, int]) -> None:
    x, y = corner
    draw = ImageDraw.Draw(canvas)
    try:
        loaded = fit(read_image(folder / image.image, shown=2 * CELL), CELL)
        canvas.paste(loaded, (x + (CELL - loaded.width) // 2, y + (CELL - loaded.height) // 2))
    except QueryError:  # the image was readable when it was scanned
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), outline=FAINT)
        draw.text((x + CELL // 2, y + CELL // 2), "missing", FAINT, _font(13), anchor="mm")
    draw.text((x + CELL // 2, y + CELL + 6), _caption(image), INK, _font(13), anchor="ma")


def _caption(image: TopImage) -> str:
    text = f"{image.activation:.2f}" + (f" {image.label}" if image.label else "")
    if _font(13).getlength(text) <= CELL:
        return text
    while _font(13).getlength(text + "…") > CELL:
        text = text[:-1]
    return text + "…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
