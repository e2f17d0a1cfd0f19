"""Small photographs, and how far Pillow's resizing of them is from that of tensors."""

import numpy as np
from PIL import Image

ROUNDINGS = 2.5 / 255  # Pillow rounds to 8 bits twice, after each direction that it resizes


def make_image(width=50, height=40, mode="RGB"):
    pixels = np.random.default_rng(0).integers(60, 196, (height, width, 3), dtype=np.uint8)
    # smooth, and far from black and white: Pillow clamps and rounds after resizing, tensors do neither
    return Image.fromarray(pixels).resize((4 * width, 4 * height), Image.Resampling.BICUBIC).convert(mode)
