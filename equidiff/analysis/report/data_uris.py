"""Images as data URIs, compressed as far as they look the same."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

SMALL = 64  # images up to this side are lossless and keep their size
THUMBNAIL = 192
LARGE = 768
MAP_SIDE = 64  # spectra and attribution maps
FRAME, FIGURE = 256, 1600  # frames of paths, and figures
WEBP_QUALITY = 88


def thumbnail_uri(image: Image.Image) -> str:
    """Encode an image for the grid; lossless if it is small."""
    if max(image.size) <= 256:
        return large_uri(image)
    return _webp(_at_most(image, THUMBNAIL))


def large_uri(image: Image.Image) -> str:
    """Encode an image for a close look: lossless if it is small, otherwise WebP."""
    if max(image.size) <= SMALL:
        return _uri(image, "png", optimize=True)
    return _webp(_at_most(image, LARGE))


def frame_uri(image: Image.Image) -> str:
    """Encode a frame of a path: as `large_uri`, but no larger than `FRAME`."""
    return large_uri(_at_most(image, FRAME))


def figure_uri(image: Image.Image) -> tuple[str, tuple[int, int]]:
    """Encode a figure, with its size in pixels; its text stays sharp."""
    image = _at_most(image, FIGURE)
    return _uri(image, "webp", lossless=True, method=4), image.size


def strip_uri(image: Image.Image, small: bool) -> str:
    """Encode a row of thumbnails: lossless where they are small."""
    return _uri(image, "webp", lossless=True, method=4) if small else _webp(image)


def small_maps(maps: Tensor) -> Tensor:
    """Average maps `[batch, height, width]` down to at most `MAP_SIDE` a side."""
    height, width = maps.shape[1:]
    if max(height, width) <= MAP_SIDE:
        return maps
    scale = MAP_SIDE / max(height, width)
    size = (max(round(height * scale), 1), max(round(width * scale), 1))
    return adaptive_avg_pool2d(maps[:, None], size)[:, 0]


def heat_uri(values: Tensor, low: float, high: float, colours: str) -> str:
    """Draw values `[height, width]` in the colours of a matplotlib map, as a PNG with a palette.

    Args:
        values: the values; NaN counts as `low`.
        low: value of the first colour.
        high: value of the last colour.
        colours: name of the map.
    """
    scaled = ((values - low) / max(high - low, 1e-12)).nan_to_num(0, 1, 0).clamp(0, 1)
    image = Image.fromarray((scaled * 255).round().to(torch.uint8).numpy(), mode="P")
    image.putpalette(palette(colours))
    return _uri(image, "png", optimize=True)


def palette(colours: str) -> bytes:
    """Red, green and blue of the 256 colours of a matplotlib map."""
    return (colormaps[colours](np.arange(256), bytes=True)[:, :3]).tobytes()


def _at_most(image: Image.Image, side: int) -> Image.Image:
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _webp(image: Image.Image) -> str:
    return _uri(image, "webp", quality=WEBP_QUALITY, method=4)


def _uri(image: Image.Image, form: str, **options: int | bool) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
