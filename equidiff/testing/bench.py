"""The bench on which a component is tried: generator, objective and device, and samples of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from equidiff.contracts import BuildContext, Generator, ScalarTarget
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins

ROWS = 3


@dataclass(frozen=True)
class Bench:
    """Everything that a component is tried with.

    Attributes:
        plugins: where specs are looked up.
        generator_spec: of the generator whose samples are measured, filtered and explained.
        objective_spec: of the objective that attribution methods explain.
        device: of them all.
    """

    plugins: Plugins
    generator_spec: str = "toy"
    objective_spec: str = "neuron:17"
    device: str = "cpu"

    @cached_property
    def generator(self) -> Generator:
        """The generator."""
        return build(self.plugins, "generator", self.generator_spec, BuildContext(self.device)).component

    @cached_property
    def latents(self) -> Tensor:
        """A few latents, the same ones each time."""
        stream = torch.Generator().manual_seed(1)
        return torch.randn(ROWS, *self.generator.latent_shape, generator=stream).to(self.device)

    @cached_property
    def samples(self) -> Tensor:
        """Prior samples."""
        with torch.no_grad():
            return self.generator.generate(self.latents)

    @cached_property
    def scalar(self) -> ScalarTarget:
        """The measurement to explain."""
        objective = build(self.plugins, "objective", self.objective_spec, self.context("objective")).component
        with torch.no_grad():
            return ScalarTarget(objective, objective.measure(self.samples)[0])

    def warm_up(self) -> None:
        """Make the samples, and all that they need."""
        assert len(self.samples) == ROWS

    def context(self, kind: str, device: str | None = None) -> BuildContext:
        """The context that a component of a kind is built in."""
        needs = kind in {"objective", "regularizer", "attribution"}
        return BuildContext(device or self.device, generator=self.generator if needs else None)
