"""Images: one or three channels, in [0, 1], kept as 8-bit PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

import PIL.Image
from torch import Tensor

from equidiff.contracts.sample_kind import PIXELS, Change, SampleKind, StraightThrough
from equidiff.images.canvas import fit
from equidiff.images.convert import image_to_tensor, is_image_shape, quantized, save_png, to_image
from equidiff.images.fit import fit_query
from equidiff.images.read import read_image
from equidiff.kinds.image_changes import CHANGES


@final
class Image(SampleKind):
    """Images `[channels, height, width]`, nominally in [0, 1]."""

    name: ClassVar[str] = "image"
    noun: ClassVar[str] = "image"
    plural: ClassVar[str] = "images"
    heading: ClassVar[str] = "Image"
    values: ClassVar[str] = "pixels"
    compared_by: ClassVar[str] = "pixels"
    precision: ClassVar[str] = "uint8"
    regularizer: ClassVar[str] = "lowpass"
    bounded: ClassVar[bool] = True
    is_image: ClassVar[bool] = True
    suffix: ClassVar[str | None] = ".png"
    folder: ClassVar[str] = "images"
    query_in_words: ClassVar[str] = "the path of an image"
    query_hint: ClassVar[str] = "--query IMAGE.png"

    @property
    def shapes(self) -> str:
        return "(1 or 3, height, width)"

    def fits(self, shape: Sequence[int]) -> bool:
        return is_image_shape(shape)

    def rounded(self, samples: Tensor) -> Tensor:
        return quantized(samples)

    def saved(self, samples: Tensor) -> Tensor:
        # the gradient is zero where a pixel is outside, but not at the bounds themselves, where pixels of files are
        return StraightThrough.apply(samples, quantized(samples), 0.0, 1.0)

    def excess(self, samples: Tensor) -> Tensor:
        return samples - samples.clamp(0, 1)

    def beyond(self, distance: str) -> str:
        return (
            f"the range of an image by much (up to {distance} of its width, root mean square), which is clipped in the "
            "files: look at them with care."
        )

    def compared(self, samples: Tensor) -> Tensor:
        return quantized(samples).flatten(1)

    def fit(self, query: Tensor, shape: tuple[int, ...]) -> Tensor:
        return fit_query(query, shape)

    def write(self, file: Path, sample: Tensor) -> None:
        save_png(file, sample)

    def read(self, file: Path, shape: tuple[int, ...]) -> Tensor:
        return image_to_tensor(read_image(file))

    def tile(self, sample: Tensor, side: int) -> PIL.Image.Image:
        return fit(to_image(sample), side)

    @property
    def changes(self) -> Mapping[str, tuple[str, Change]]:
        return CHANGES

    def grid_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        channels, height, width = shape
        return channels, height, width

    def maps(self, shape: Sequence[int]) -> str:
        return PIXELS
