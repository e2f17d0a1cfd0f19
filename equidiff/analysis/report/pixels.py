"""Pictures as data URIs, as small as they can be without looking worse."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

SMALL = 64  # pictures up to this side are kept as they are
THUMBNAIL = 192
LARGE = 768
MAP_SIDE = 64  # spectra and attribution maps
WEBP_QUALITY = 88


def thumbnail_uri(picture: Image.Image) -> str:
    """For the grid: lossless where it is small."""
    if max(picture.size) <= 256:
        return large_uri(picture)
    return _webp(_at_most(picture, THUMBNAIL))


def large_uri(picture: Image.Image) -> str:
    """To look at: lossless where it is small, else WebP."""
    if max(picture.size) <= SMALL:
        return _uri(picture, "png", optimize=True)
    return _webp(_at_most(picture, LARGE))


def small_maps(maps: Tensor) -> Tensor:
    """`[batch, height, width]` averaged down to at most `MAP_SIDE`."""
    height, width = maps.shape[1:]
    if max(height, width) <= MAP_SIDE:
        return maps
    scale = MAP_SIDE / max(height, width)
    size = (max(round(height * scale), 1), max(round(width * scale), 1))
    return adaptive_avg_pool2d(maps[:, None], size)[:, 0]


def heat_uri(values: Tensor, low: float, high: float, colours: str) -> str:
    """`[height, width]` in the colours of a matplotlib map, as a PNG with a palette.

    Args:
        values: what to show; what is not finite counts as `low`.
        low: gets the first colour.
        high: gets the last one.
        colours: name of the map.
    """
    scaled = ((values - low) / max(high - low, 1e-12)).nan_to_num(0, 1, 0).clamp(0, 1)
    image = Image.fromarray((scaled * 255).round().to(torch.uint8).numpy(), mode="P")
    image.putpalette(palette(colours))
    return _uri(image, "png", optimize=True)


def palette(colours: str) -> bytes:
    """The 256 colours of a matplotlib map, as red, green, blue."""
    return (colormaps[colours](np.arange(256), bytes=True)[:, :3]).tobytes()


def _at_most(picture: Image.Image, side: int) -> Image.Image:
    picture = picture.copy()
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def _webp(picture: Image.Image) -> str:
    return _uri(picture, "webp", quality=WEBP_QUALITY, method=4)


def _uri(picture: Image.Image, form: str, **options: int | bool) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format=form, **options)
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
