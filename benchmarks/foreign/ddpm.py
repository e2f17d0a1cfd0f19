"""A DDPM of handwritten digits, 28x28, by Brian Pulfer (2022), sampled by DDIM in twenty steps: a plugin in one file.

The weights are `ddpm_mnist.safetensors`, named by the argument: `digits:ddpm_mnist.safetensors`. Names of modules are
those of the file, which is read strictly.

References:
    Ho, Jain, Abbeel (2020), "Denoising diffusion probabilistic models". https://arxiv.org/abs/2006.11239
    Song, Meng, Ermon (2021), "Denoising diffusion implicit models". https://arxiv.org/abs/2010.02502
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidiff.contracts import BuildContext, Generator
from equidiff.networks.checkpoints import hash_weights, put_weights, read_weights
from equidiff.plugin import Descriptor, EquiDiffError, Options, hookimpl
from equidiff.types import Latents, Samples

STEPS = 20
TRAINED = 1000  # steps of the noise schedule
WIDTHS = {"te1": 1, "te2": 10, "te3": 20, "te_mid": 40, "te4": 80, "te5": 40, "te_out": 20}


class Block(nn.Module):
    """Layer norm over the whole image, two convolutions."""

    def __init__(self, inputs: int, outputs: int, side: int, normalise: bool = True) -> None:
        super().__init__()
        self.ln = nn.LayerNorm((inputs, side, side))
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self._normalise = normalise

    def forward(self, features: Tensor) -> Tensor:
        """`[batch, inputs, side, side]` to `[batch, outputs, side, side]`."""
        features = self.ln(features) if self._normalise else features
        return F.silu(self.conv2(F.silu(self.conv1(features))))


def stage(side: int, *widths: int, last: bool = True) -> nn.Sequential:
    """Three blocks; the last has its norm left out where `last` says so."""
    pairs = list(pairwise(widths))
    return nn.Sequential(*[Block(a, b, side, last or k + 1 < len(pairs)) for k, (a, b) in enumerate(pairs)])


class Denoiser(nn.Module):
    """Predicts the noise in an image at one of a thousand steps."""

    def __init__(self) -> None:
        super().__init__()
        self.time_embed = nn.Embedding(TRAINED, 100)
        for name, width in WIDTHS.items():
            self.add_module(name, nn.Sequential(nn.Linear(100, width), nn.SiLU(), nn.Linear(width, width)))
        self.b1, self.b2, self.b3 = stage(28, 1, 10, 10, 10), stage(14, 10, 20, 20, 20), stage(7, 20, 40, 40, 40)
        self.b_mid = stage(3, 40, 20, 20, 40)
        self.b4, self.b5 = stage(7, 80, 40, 20, 20), stage(14, 40, 20, 10, 10)
        self.b_out = stage(28, 20, 10, 10, 10, last=False)
        self.down1, self.down2 = nn.Conv2d(10, 10, 4, 2, 1), nn.Conv2d(20, 20, 4, 2, 1)
        self.down3 = nn.Sequential(nn.Conv2d(40, 40, 2, 1), nn.SiLU(), nn.Conv2d(40, 40, 4, 2, 1))
        up = nn.ConvTranspose2d
        self.up1 = nn.Sequential(up(40, 40, 4, 2, 1), nn.SiLU(), up(40, 40, 2, 1))
        self.up2, self.up3 = up(20, 20, 4, 2, 1), up(10, 10, 4, 2, 1)
        self.conv_out = nn.Conv2d(10, 1, 3, 1, 1)

    def forward(self, noisy: Tensor, step: int) -> Tensor:
        """The noise, of the shape of the image."""
        code = self.time_embed.weight[step]

        def timed(name: str) -> Tensor:
            return self.get_submodule(name)(code)[None, :, None, None]

        out1 = self.b1(noisy + timed("te1"))
        out2 = self.b2(self.down1(out1) + timed("te2"))
        out3 = self.b3(self.down2(out2) + timed("te3"))
        middle = self.b_mid(self.down3(out3) + timed("te_mid"))
        out4 = self.b4(torch.cat([out3, self.up1(middle)], dim=1) + timed("te4"))
        out5 = self.b5(torch.cat([out2, self.up2(out4)], dim=1) + timed("te5"))
        return self.conv_out(self.b_out(torch.cat([out1, self.up3(out5)], dim=1) + timed("te_out")))


class Digits(Generator):
    """DDIM without noise: a latent is the noise at the first step.

    The estimate of the clean image is clipped to its range at each step, as by most samplers of pixels: without it the
    mean brightness, which the first layer norm hides from the network, drifts away.

    Args:
        network: predicts the noise.
    """

    latent_shape = sample_shape = (1, 28, 28)
    steps = STEPS

    def __init__(self, network: Denoiser) -> None:
        self._network = network.eval().requires_grad_(False)
        self._clean = (1 - torch.linspace(1e-4, 0.02, TRAINED)).cumprod(0).tolist()  # share of the image at each step

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Samples in [0, 1]."""
        times = torch.linspace(TRAINED - 1, 0, steps or self.steps).round().long().tolist()
        noisy = clean = latents
        for now, after in pairwise([*times, None]):
            share, then = self._clean[now], 1.0 if after is None else self._clean[after]
            noise = self._network(noisy, now)
            clean = ((noisy - (1 - share) ** 0.5 * noise) / share**0.5).clamp(-1, 1)
            noisy = then**0.5 * clean + (1 - then) ** 0.5 * noise
        return (clean + 1) / 2


def load_digits_generator(path: Path, device: str = "cpu") -> Digits:
    """Read the file, every tensor of which must fit."""
    network = Denoiser()
    weights = {name.removeprefix("network."): value for name, value in read_weights(path).items()}
    put_weights(network, weights, path)
    return Digits(network.to(device))


def build(argument: str | None, options: Options, context: BuildContext) -> Digits:
    """Build `digits:PATH`.

    Raises:
        EquiDiffError: there is no path.
        WeightsError: the file cannot be read, or does not fit.
    """
    if argument is None:
        raise EquiDiffError(
            "The digits need their weights.",
            expected="the path of a file",
            hint="--generator digits:weights.safetensors",
        )
    path = Path(argument)
    context.weights.append(hash_weights(path))
    return load_digits_generator(path, context.device)


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """The generator of this file."""
    return [
        Descriptor(
            name="digits",
            factory=f"{__name__}:build",
            summary="A DDPM of handwritten digits, 28x28.",
            argument="path of its weights",
            examples=("digits:ddpm_mnist.safetensors",),
        )
    ]
