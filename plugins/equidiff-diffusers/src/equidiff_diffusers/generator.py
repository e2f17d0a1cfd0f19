"""The generator: a diffusers pipeline's own call, from the first noise that it draws to its image."""

from __future__ import annotations

from typing import Any, final

import torch

from equidiff.contracts import Generator
from equidiff.types import Latents, Samples
from equidiff_diffusers.run import Parts, Run, few_steps


@final
class DiffusersGenerator(Generator):
    """Runs the call of a pipeline with a latent in place of the first noise that it draws.

    Later noise, of samplers that add some at each step, is always the same. Images are not clamped.

    Args:
        parts: the pipeline.
        steps: sampler steps, as in the pipeline's call.

    Attributes:
        device: of the pipeline; latents on other devices are moved there, and samples back.
    """

    def __init__(self, parts: Parts, steps: int) -> None:
        self._parts = parts
        self.steps = steps
        self.device = parts.pipeline.device
        probe = Run(parts, None, steps=1 if steps == 1 else few_steps(parts.pipeline.scheduler))
        with torch.no_grad():
            sample = probe()
        self._first, self._outputs = probe.first, probe.outputs
        self.latent_shape = _row_shape(probe.noise.latents)
        self.sample_shape = _row_shape(sample)

    @property
    def recompute(self) -> bool:
        """Recompute the networks in the backward pass, to save memory."""
        return self._parts.recompute

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Call the pipeline; see `Generator.generate`."""
        run = Run(self._parts, latents.to(self.device), self.steps if steps is None else steps)
        return run().to(latents)


def _row_shape(rows: Any) -> tuple[int, ...]:
    return tuple(rows.shape[1:])
