"""Images as samples, and samples as 8-bit images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from equidiff.errors import UnsupportedError

# ITU-R 601, as Pillow converts RGB to grey
LUMINANCE = (0.299, 0.587, 0.114)


def image_to_tensor(image: Image.Image) -> Float[Tensor, "1 channels height width"]:
    """Convert an image of mode "L" or "RGB" to float32 in [0, 1]."""
    import numpy as np

    pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
    pixels = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    return pixels[None].float().div_(255)


def to_channels(
    samples: Float[Tensor, "batch channels height width"], channels: int
) -> Float[Tensor, "batch new_channels height width"]:
    """Convert between grey and RGB; differentiable.

    Args:
        samples: images with 1 or 3 channels.
        channels: 1 or 3.

    Raises:
        UnsupportedError: the samples have another number of channels.
    """
    given = samples.shape[1]
    if given == channels:
        return samples
    if (given, channels) == (1, 3):
        return samples.expand(-1, 3, -1, -1)
    if (given, channels) == (3, 1):
        return (samples * samples.new_tensor(LUMINANCE)[:, None, None]).sum(dim=1, keepdim=True)
    raise UnsupportedError(
        "The network cannot take these samples.", given=f"{given} channels", expected="1 (grey) or 3 (RGB)"
    )


def is_image_shape(shape: Sequence[int]) -> bool:
    """Tell whether samples of this shape, without the batch axis, can be written as images."""
    return len(shape) == 3 and shape[0] in {1, 3}


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
    to_image(sample).save(path, format="png")
