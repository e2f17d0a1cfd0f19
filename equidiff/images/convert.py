"""Images as samples, and samples as 8-bit images."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor


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
