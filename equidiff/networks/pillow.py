"""Resizing as Pillow does it: evaluation transforms of published networks read 8-bit files, and round on the way.

Pillow resizes rows and columns one after the other, and after each rounds to 8 bits, and clips what the filter
overshoots. Networks notice: for small faces that an EfficientNet-Lite enlarges, a logit of standard deviation 0.9 was
off by up to 1.0 without the rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from equidiff.images.convert import quantized

EXACT = 1e-6  # distance from a value of 8 bits that is rounding in float32
ROWS = 1024  # of pixels that are looked at together, so that a large photograph takes little more memory
TIE = 1e-4  # grey levels from a half that are rounding in float32


@final
class PillowResizing(TorchFunctionMode):
    """While it is entered, antialiased resizing of 8-bit images gives Pillow's values.

    Rows of the batch that are not 8-bit images are resized without rounding. The gradient is that without rounding, for
    all rows.

    Args:
        white: the value of white, 1 or 255.
        rows_first: resize rows first even where the installed Pillow does not, as torchvision does with 8-bit tensors.
    """

    def __init__(self, white: float = 1.0, rows_first: bool = False) -> None:
        super().__init__()
        self._white, self._rows_first = white, rows_first

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is not F.interpolate or not kwargs.get("antialias"):
            return result
        with torch.no_grad():
            given = args[0] if args else kwargs["input"]
            images = given if self._white == 1 else given / self._white
            is_8_bit = _is_8_bit(images)[:, None, None, None]
            rounded = self._white * self._resize(images, tuple(result.shape[-2:]), kwargs["mode"])
            difference = torch.where(is_8_bit, rounded - result, torch.zeros_like(result))
        return result + difference

    def _resize(self, images: Tensor, size: tuple[int, int], mode: str) -> Tensor:
        """Resize images `[batch, channels, height, width]`, rounding after each of the two directions."""
        height, width = images.shape[-2:]
        columns_first = not self._rows_first and _columns_first((height, width), size)
        for sides in ((size[0], width) if columns_first else (height, size[1]), size):
            if tuple(images.shape[-2:]) != sides:
                images = F.interpolate(images, sides, mode=mode, antialias=True).clamp(0, 1)
                images = (images * 255 + 0.5 + TIE).floor() / 255  # halves go up, in Pillow's whole numbers
        return images


def _is_8_bit(images: Tensor) -> Tensor:
    """For each of a batch of images, True where all its values are those of 8 bits; a few rows of pixels at a time."""
    found = torch.ones(len(images), dtype=torch.bool, device=images.device)
    for rows in images.split(ROWS, dim=2):
        found &= ((rows - quantized(rows)).abs() <= EXACT).flatten(1).all(dim=1)
    return found


def _columns_first(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether Pillow resizes columns before rows: newer ones do where that leaves less to do, as was measured."""
    shrinks = after[0] < before[0] and 2 * after[1] / before[1] > 1 + after[0] / before[0]
    return shrinks and _chooses()


@cache
def _chooses() -> bool:
    """Whether the installed Pillow ever resizes columns first."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)

    def resized(*sizes: tuple[int, int]) -> np.ndarray:
        picture = Image.fromarray(noise)
        for size in sizes:
            picture = picture.resize(size, Image.Resampling.BILINEAR)
        return np.asarray(picture)

    found, columns, rows = resized((24, 8)), resized((16, 8), (24, 8)), resized((24, 16), (24, 8))
    return bool((found != rows).sum() > (found != columns).sum())
