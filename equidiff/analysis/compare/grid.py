"""Samples of any kind as attribution methods see them: `[batch, channels, height, width]`.

Captum's methods work on tensors of any shape, but ours speak of channels and places: a sound is one row of places, with
its channels; a row of a table has a place for each column, whose range goes from 0 to 1.
"""

from __future__ import annotations

from typing import final

from torch import nn

from equidiff.contracts import Generator, Objective, SampleKind
from equidiff.types import Latents, Measurements, Samples


@final
class OnGrid(Objective):
    """An objective of samples on the grid.

    Args:
        objective: of the samples themselves.
        kind: of the samples.
        shape: of one sample.
    """

    def __init__(self, objective: Objective, kind: SampleKind, shape: tuple[int, ...]) -> None:
        self.names, self.unit = objective.names, objective.unit
        self._objective, self._kind, self._shape = objective, kind, shape

    def measure(self, samples: Samples) -> Measurements:
        return self._objective.measure(self._kind.from_grid(samples, self._shape))

    def networks(self) -> list[nn.Module]:
        return self._objective.networks()


@final
class GeneratorOnGrid(Generator):
    """A generator of samples on the grid, for methods that draw baselines, or pull gradients through it."""

    def __init__(self, generator: Generator, kind: SampleKind) -> None:
        self.latent_shape = generator.latent_shape
        self.sample_shape = kind.grid_shape(generator.sample_shape)
        self.network, self.steps = generator.network, generator.steps
        self._generator, self._samples = generator, kind

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        return self._samples.to_grid(self._generator.generate(latents, steps))

    def invert(self, samples: Samples) -> Latents:
        return self._generator.invert(self._samples.from_grid(samples, self._generator.sample_shape))


def on_grid(objective: Objective, kind: SampleKind, shape: tuple[int, ...]) -> Objective:
    """The objective of samples on the grid; of images it is the objective itself."""
    return objective if kind.is_image else OnGrid(objective, kind, shape)


def generator_on_grid(generator: Generator, kind: SampleKind) -> Generator:
    """The generator of samples on the grid; of images it is the generator itself."""
    return generator if kind.is_image else GeneratorOnGrid(generator, kind)
