"""Parallel coordinates in a small square: an axis for each number of a row, and a line for each row."""

from __future__ import annotations

from PIL import Image, ImageDraw
from torch import Tensor

from equidiff.images.canvas import ACCENT

GROUND, AXIS, FAINT = "#f6f8fa", "#c9d1d9", "#8c959f"
MOST_AXES = 40  # drawn as lines; of more, they would be a blot
OVERSAMPLED = 3
FINE = 90  # lines in the side of a square


def draw_lines(rows: Tensor, side: int, count: int = 1) -> Image.Image:
    """Draw rows as lines over parallel axes; the last ones stand out.

    Args:
        rows: `[rows, size]`, from 0 to 1 between the ends of an axis; beyond, lines end at the edge.
        side: in pixels.
        count: rows that stand out.
    """
    large = side * OVERSAMPLED
    canvas = Image.new("RGB", (large, large), GROUND)
    draw = ImageDraw.Draw(canvas)
    size, edge, fine = rows.shape[1], large / 16, max(1, round(large / FINE))
    places = [large / 2] if size == 1 else [edge + (large - 2 * edge) * axis / (size - 1) for axis in range(size)]
    if size <= MOST_AXES:
        for place in places:
            draw.line((place, edge, place, large - edge), AXIS, max(1, fine // 2))
    heights = (large - edge - (large - 2 * edge) * rows.nan_to_num(0.5)).clamp(0, large).tolist()
    for number, line in enumerate(heights):
        ink, width = (ACCENT, 2 * fine) if number >= len(heights) - count else (FAINT, fine)
        if size == 1:
            draw.ellipse((places[0] - 9, line[0] - 9, places[0] + 9, line[0] + 9), ink)
        else:
            draw.line(list(zip(places, line, strict=True)), ink, width, joint="curve")
    return canvas.resize((side, side), Image.Resampling.LANCZOS)
