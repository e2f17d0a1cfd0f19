"""Sizes, colours and the font of all drawings, and fitting an image into a square."""

from __future__ import annotations

from PIL import Image, ImageFont

CELL = 112
GAP = 12
CAPTION = 22
MARGIN = 24
INK, FAINT, ACCENT = "#1f2328", "#6e7781", "#c2410c"


def fit(image: Image.Image, side: int) -> Image.Image:
    """Scale an image to fit into a square: small ones without smoothing, large ones with."""
    longest = max(image.size)
    if longest <= side:
        factor = side / longest if longest * 2 > side else side // longest
        size = (round(image.width * factor), round(image.height * factor))
        return image.resize(size, Image.Resampling.NEAREST)
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all images."""
    return ImageFont.load_default(size)
