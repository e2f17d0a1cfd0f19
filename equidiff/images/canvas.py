"""What all drawings share: sizes, colours, the font, fitting an image into a square."""

from __future__ import annotations

from PIL import Image, ImageFont

CELL = 112
GAP = 12
CAPTION = 22
MARGIN = 24
INK, FAINT, ACCENT = "#1f2328", "#6e7781", "#c2410c"


def fit(picture: Image.Image, side: int) -> Image.Image:
    """The picture as large as fits in a square: small ones in whole pixels, large ones smoothed."""
    longest = max(picture.size)
    if longest <= side:
        factor = side / longest if longest * 2 > side else side // longest
        size = (round(picture.width * factor), round(picture.height * factor))
        return picture.resize(size, Image.Resampling.NEAREST)
    picture = picture.copy()
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all pictures."""
    return ImageFont.load_default(size)
