"""Latents and samples for a trial, the same ones each time."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.contracts import Generator
from equidiff.images.convert import is_image_shape
from equidiff.registry.trial.subject import ROWS


def makes_images(generator: Generator) -> bool:
    """Tell whether a generator's samples are images: its kind says it, or else their shape."""
    return is_image_shape(generator.sample_shape) if generator.kind is None else generator.kind.is_image


def trial_latents(generator: Generator, device: str) -> Tensor:
    """Two latents from a stream of random numbers of their own."""
    stream = torch.Generator().manual_seed(0)
    return torch.randn(ROWS, *generator.latent_shape, generator=stream).to(device)


def trial_samples(generator: Generator, device: str) -> Tensor:
    """Two samples: noise where these are images, which costs nothing, else what the generator makes.

    Noise, because a standard deviation or a norm has no gradient at a uniform image. Columns of a table and points have
    ranges of their own, which the generator alone knows.
    """
    if makes_images(generator):
        noise = torch.rand(ROWS, *generator.sample_shape, generator=torch.Generator().manual_seed(0))
        return noise.to(device)
    with torch.no_grad():
        return generator.generate(trial_latents(generator, device))
