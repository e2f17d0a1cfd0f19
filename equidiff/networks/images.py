"""Conversion of images and samples to the channels and the size that a network expects."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from equidiff.images.convert import to_channels


def cover(
    samples: Float[Tensor, "batch channels height width"], size: tuple[int, int]
) -> Float[Tensor, "batch channels new_height new_width"]:
    """Resize images until they cover this height and width, then crop them at the centre; differentiable."""
    height, width = samples.shape[-2:]
    if (height, width) == size:
        return samples
    scale = max(size[0] / height, size[1] / width)
    resized = (max(round(height * scale), size[0]), max(round(width * scale), size[1]))
    samples = F.interpolate(samples, resized, mode="bicubic", antialias=True)
    top, left = (resized[0] - size[0]) // 2, (resized[1] - size[1]) // 2
    return samples[:, :, top : top + size[0], left : left + size[1]]


def prepare_grey(
    samples: Float[Tensor, "batch channels height width"], size: int
) -> Float[Tensor, "batch 1 size size"]:
    """Convert samples to grey images of `size` pixels per side, in the same range; differentiable."""
    grey = to_channels(samples, 1)
    if grey.shape[-2:] == (size, size):
        return grey
    return F.interpolate(grey, (size, size), mode="bicubic", antialias=True)
