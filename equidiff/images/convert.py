"""Images as samples, and samples as 8-bit images."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor


def image_to_tensor(image: Image.Image) -> Float[Tensor, "1 channels height width"]:
    """A picture of mode "L" or "RGB" as float32 in [0, 1]."""
    import numpy as np

    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return pixels[None].float() / 255


def is_image(samples: Tensor) -> bool:
    """Whether these samples, `[batch, ...]`, can be written as pictures."""
    return samples.ndim == 4 and samples.shape[1] in {1, 3}


def quantized(samples: Tensor) -> Tensor:
    """The samples as an 8-bit file keeps them: clamped (only here) to [0, 1] and rounded to 1/255."""
    return (samples.clamp(0, 1) * 255).round() / 255


def to_picture(sample: Tensor) -> Image.Image:
    """`[channels, height, width]` as an 8-bit picture."""
    pixels = (quantized(sample.detach().cpu()) * 255).round().to(torch.uint8)
    array = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)
    return Image.fromarray(array.numpy())


def save_png(path: Path, sample: Tensor) -> None:
    """Write `[channels, height, width]` as 8-bit PNG."""
    to_picture(sample).save(path)


def fit_picture(picture: Image.Image, shape: tuple[int, ...]) -> Tensor:
    """A picture as a sample `[1, *shape]`: cropped about its middle, resized (bicubic), made grey or RGB.

    Args:
        picture: mode "L" or "RGB".
        shape: (1 or 3, height, width).
    """
    channels, height, width = shape
    fitted = picture
    if picture.size != (width, height):
        fitted = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    return image_to_tensor(fitted.convert("L" if channels == 1 else "RGB"))
