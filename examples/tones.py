"""Sounds as samples, in one file: a generator of tones, and an objective that hears how loud they are.

equidiff --plugin ./examples/tones.py run -g tones -o loudness --query prior
"""

import math

import torch
from torch import Tensor

from equidiff import Generator, Objective
from equidiff.contracts import BuildContext
from equidiff.plugin import Descriptor, Options, Signal, hookimpl

RATE, LENGTH = 8000, 2000


class Tones(Generator):
    """Sines: pitch, loudness and phase are the latent."""

    latent_shape, sample_shape = (3,), (LENGTH,)
    kind = Signal(RATE)

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        """Sounds `[batch, LENGTH]`, in [-1, 1]."""
        pitch, loudness, phase = latents.split(1, dim=1)
        time = torch.arange(LENGTH, device=latents.device) / RATE
        return loudness.sigmoid() * torch.sin(2 * math.pi * (600 * torch.exp(pitch / 2) * time + phase))


class Loudness(Objective):
    """Power of a sound, in decibels."""

    names, unit = ("loudness",), "dB"

    def measure(self, samples: Tensor) -> Tensor:
        """Power of sounds `[batch, length]`, as `[batch, 1]`."""
        return 10 * (samples.square().mean(dim=1, keepdim=True) + 1e-9).log10()


def make_tones(argument: str | None, options: Options, context: BuildContext) -> Generator:
    """Build `tones`."""
    return Tones()


def make_loudness(argument: str | None, options: Options, context: BuildContext) -> Objective:
    """Build `loudness`."""
    return Loudness()


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """The generators of this file."""
    return [Descriptor("tones", f"{__name__}:make_tones", "Sines of any pitch, loudness and phase.")]


@hookimpl
def equidiff_objectives() -> list[Descriptor]:
    """The objectives of this file."""
    return [Descriptor("loudness", f"{__name__}:make_loudness", "Power of a sound, in decibels.")]
