"""Small photographs, and how near their preparation is to that of the library that reads files."""

import numpy as np
from PIL import Image

MOST, USUAL = 2.5, 0.05  # grey levels: a value halfway between two may be rounded the other way


def make_image(width=50, height=40, mode="RGB"):
    pixels = np.random.default_rng(0).integers(60, 196, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((4 * width, 4 * height), Image.Resampling.BICUBIC).convert(mode)


def assert_rounded_alike(found, expected, std):
    """Two preparations of an image agree but for ties; `std` is that by which they divided."""
    levels = (found - expected).abs() * 255 * std
    assert levels.max() < MOST
    assert levels.mean() < USUAL
