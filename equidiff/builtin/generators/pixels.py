"""`pixels:SIZE`: images without a prior.

A latent is the image itself, up to brightness and contrast, so that a run searches among all images. Without a
generator, this is activation maximisation or the inversion of representations.

References:
    Mahendran and Vedaldi (2015), "Understanding deep image representations by inverting them".
    https://arxiv.org/abs/1412.0035
"""

from __future__ import annotations

import re
from typing import final

from equidiff.builtin.generators.descriptors import PixelsOptions
from equidiff.contracts import BuildContext, Generator
from equidiff.errors import SpecError
from equidiff.types import Latents, Samples

SIDE = "([1-9][0-9]{0,3})"
SHAPE = re.compile(f"{SIDE}(?:x{SIDE}(?:x([13]))?)?")
GREY = 0.5


@final
class Pixels(Generator):
    """`0.5 + contrast * z`, pixel by pixel: a standard normal latent is grey noise.

    Args:
        shape: of a sample, and of its latent: (channels, height, width).
        contrast: standard deviation of the pixels of a prior sample; pixels are nominally in [0, 1].
    """

    def __init__(self, shape: tuple[int, int, int], contrast: float = 0.1) -> None:
        self.latent_shape = self.sample_shape = shape
        self.contrast = contrast

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        return GREY + self.contrast * latents

    def invert(self, samples: Samples) -> Latents:
        return (samples - GREY) / self.contrast


def parse_shape(argument: str | None) -> tuple[int, int, int]:
    """Channels, height and width of `SIZE`, `HEIGHTxWIDTH` or `HEIGHTxWIDTHxCHANNELS`.

    Raises:
        SpecError: it is none of these; sides have at most four digits, channels are 1 or 3.
    """
    found = SHAPE.fullmatch(argument or "")
    if found is None:
        raise SpecError(
            "The generator 'pixels' cannot read this size." if argument else "The generator 'pixels' needs a size.",
            given=argument,
            expected="SIZE, HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS, with sides from 1 to 9999 and 1 or 3 channels",
            hint="--generator pixels:28, or --generator pixels:224x224x3",
        )
    height, width, channels = found.groups()
    return int(channels or 1), int(height), int(width or height)


def build(argument: str | None, options: PixelsOptions, context: BuildContext) -> Generator:
    """Build `pixels:SIZE`.

    Raises:
        SpecError: there is no size, or it cannot be read.
    """
    return Pixels(parse_shape(argument), options.contrast)
