"""Small changes that image files undergo: 8 bits, JPEG, resizing there and back, a little noise."""

from __future__ import annotations

import io
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from equidiff.contracts.sample_kind import Change
from equidiff.images.convert import image_to_tensor, quantized, to_image
from equidiff.images.read import open_image

Images = Float[Tensor, "batch channels height width"]


def compress(samples: Images, quality: int) -> Images:
    """Compress images as JPEG and decompress them.

    Args:
        samples: grey or RGB images in [0, 1].
        quality: quality of the JPEG, from 1 to 95, as in Pillow.
    """
    return torch.cat([_through_jpeg(sample, quality) for sample in samples]).to(samples)


def resize(samples: Images, factor: float) -> Images:
    """Shrink images and enlarge them again, bicubic and antialiased, in 8 bits.

    Args:
        samples: images in [0, 1].
        factor: factor on each side, in (0, 1).
    """
    height, width = samples.shape[-2:]
    smaller = (max(1, round(factor * height)), max(1, round(factor * width)))
    small = quantized(F.interpolate(samples, smaller, mode="bicubic", antialias=True))
    return quantized(F.interpolate(small, (height, width), mode="bicubic", antialias=True))


def add_noise(samples: Images, deviation: float, seed: int = 0) -> Images:
    """Add the same normal noise to each image and round to 8 bits.

    Args:
        samples: images in [0, 1].
        deviation: standard deviation of the noise, where 1 is the step from black to white.
        seed: seed of the noise.
    """
    noise = torch.randn(samples.shape[1:], generator=torch.Generator().manual_seed(seed)).to(samples)
    return quantized(samples + deviation * noise)


CHANGES: Mapping[str, tuple[str, Change]] = {
    "jpeg_90": ("JPEG 90", lambda samples: compress(samples, 90)),
    "jpeg_75": ("JPEG 75", lambda samples: compress(samples, 75)),
    "resize_0.75": ("size x 0.75", lambda samples: resize(samples, 0.75)),
    "resize_0.5": ("size x 0.5", lambda samples: resize(samples, 0.5)),
    "noise_0.01": ("noise 0.01", lambda samples: add_noise(samples, 0.01)),
    "noise_0.02": ("noise 0.02", lambda samples: add_noise(samples, 0.02)),
}


def _through_jpeg(sample: Tensor, quality: int) -> Tensor:
    file = io.BytesIO()
    to_image(sample).save(file, format="jpeg", quality=quality)
    return image_to_tensor(open_image(file, ("JPEG",)))
