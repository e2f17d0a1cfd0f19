"""`textures`: smooth random textures, in the place of a model of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import torch
from equidiff.contracts import BuildContext, Generator
from equidiff.types import Latents, Samples

if TYPE_CHECKING:
    from equidiff_textures.plugin import TexturesOptions

SIDE = 28


@final
class TexturesGenerator(Generator):
    """Standard normal noise, blurred, as a grey image.

    Args:
        smoothness: standard deviation of the blur, in pixels.
        device: of the samples.
    """

    latent_shape = (1, SIDE, SIDE)  # of one latent, without the batch
    sample_shape = (1, SIDE, SIDE)  # channels, height and width of one image
    network = "fashion"  # that objectives ask unless told otherwise; leave it out where there is none

    def __init__(self, smoothness: float = 2.0, device: str = "cpu") -> None:
        pixels = torch.arange(SIDE, device=device)
        kernel = torch.exp(-0.5 * ((pixels[:, None] - pixels) / smoothness) ** 2)
        self._blur = kernel / kernel.norm(dim=1, keepdim=True)  # rows of length 1: pixels stay standard normal

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Map latents `[batch, 1, 28, 28]` from N(0, I) to images of that shape, nominally in [0, 1].

        Put your model here: `return (self.network(latents) + 1) / 2` for one whose images are in [-1, 1]. It must be
        differentiable and deterministic. Do not clamp: a clamped pixel has no gradient.
        """
        return torch.sigmoid(self._blur @ latents @ self._blur.T)


def build(argument: str | None, options: TexturesOptions, context: BuildContext) -> Generator:
    """Build `textures`.

    Load your model here, for example by `torch.load(path, map_location=context.device, weights_only=True)`, in
    evaluation mode and without gradients of its parameters: `network.eval().requires_grad_(False)`.
    """
    return TexturesGenerator(options.smoothness, context.device)
