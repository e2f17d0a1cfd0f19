"""Images as samples, and samples as 8-bit images."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import interpolate

ITU_R_601 = (0.299, 0.587, 0.114)  # weights of red, green and blue in grey, as in Pillow


def image_to_tensor(image: Image.Image) -> Float[Tensor, "1 channels height width"]:
    """Convert an image of mode "L" or "RGB" to float32 in [0, 1]."""
    import numpy as np

    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return pixels[None].float() / 255


def is_image(samples: Tensor) -> bool:
    """Tell whether samples `[batch, ...]` can be written as images: one or three channels, height and width."""
    return samples.ndim == 4 and samples.shape[1] in {1, 3}


def quantized(samples: Tensor) -> Tensor:
    """Round samples as an 8-bit file does: clamped (only here) to [0, 1] and rounded to 1/255."""
    return (samples.clamp(0, 1) * 255).round() / 255


def to_image(sample: Tensor) -> Image.Image:
    """Convert `[channels, height, width]` to an 8-bit image."""
    pixels = (quantized(sample.detach().cpu()) * 255).round().to(torch.uint8)
    array = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)
    return Image.fromarray(array.numpy())


def save_png(path: Path, sample: Tensor) -> None:
    """Write `[channels, height, width]` as 8-bit PNG."""
    to_image(sample).save(path)


def fit_image(image: Image.Image, shape: tuple[int, ...]) -> Float[Tensor, "1 channels height width"]:
    """Crop an image at its centre to a sample's proportions, resize it (bicubic), and make it grey or RGB.

    Args:
        image: mode "L" or "RGB".
        shape: (1 or 3, height, width).
    """
    channels, height, width = shape
    fitted = image
    if image.size != (width, height):
        fitted = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    return image_to_tensor(fitted.convert("L" if channels == 1 else "RGB"))


def fit_query(query: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Fit a query to the shape of samples as `fit_image` does, so that the two can be compared.

    Unlike `fit_image`, it keeps values between those of 8 bits, and crops to whole pixels.

    Args:
        query: `[1, 1 or 3, height, width]`, nominally in [0, 1]; anything else is returned as it is.
        shape: (1 or 3, height, width).

    Returns:
        `[1, *shape]`; the query itself where it has that shape.
    """
    if query.shape[1:] == shape or not is_image(query):
        return query
    channels, height, width = shape
    if query.shape[1] != channels:
        grey = query.new_tensor(ITU_R_601)[:, None, None]
        query = (query * grey).sum(dim=1, keepdim=True) if channels == 1 else query.expand(-1, channels, -1, -1)
    scale = min(query.shape[2] / height, query.shape[3] / width)
    rows, columns = round(height * scale), round(width * scale)
    top, left = (query.shape[2] - rows) // 2, (query.shape[3] - columns) // 2
    query = query[:, :, top : top + rows, left : left + columns]
    if (rows, columns) == (height, width):
        return query
    return interpolate(query, (height, width), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
