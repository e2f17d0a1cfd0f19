"""Fitting an image to the shape of samples: crop, size and channels."""

from __future__ import annotations

from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import interpolate

from equidiff.images.convert import image_to_tensor, is_image_shape, to_channels


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
    if query.shape[1:] == shape or not is_image_shape(query.shape[1:]):
        return query
    channels, height, width = shape
    query = to_channels(query, channels)
    scale = min(query.shape[2] / height, query.shape[3] / width)
    rows, columns = round(height * scale), round(width * scale)
    top, left = (query.shape[2] - rows) // 2, (query.shape[3] - columns) // 2
    query = query[:, :, top : top + rows, left : left + columns]
    if (rows, columns) == (height, width):
        return query
    return interpolate(query, (height, width), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
