"""The generator: a diffusers pipeline's own call, from the first noise that it draws to its image."""

from __future__ import annotations

from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor

from equidiff.contracts import Generator, SplitSampler
from equidiff.errors import UnsupportedError
from equidiff.types import Latents, Samples
from equidiff_diffusers.run import Parts, Run, Span, few_steps
from equidiff_diffusers.shapes import Call, is_fake, listen, repeat
from equidiff_diffusers.split import FEWEST_STEPS, FirstState, PipelineSplitSampler, is_linear


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
        self._parts, self._steps = parts, steps
        self.steps = steps
        self.device = parts.pipeline.device
        probe = Run(parts, None, steps=1 if steps == 1 else few_steps(parts.pipeline.scheduler))
        with torch.no_grad():
            sample = probe()
        if not sample.isfinite().all():
            raise UnsupportedError(
                "The images of this pipeline are not finite numbers.",
                given=f"{type(parts.pipeline).__name__} with steps={steps}",
                hint="another number of steps, or dtype=float32",
            )
        self._probe = probe
        self.latent_shape = _row_shape(probe.noise.latents)
        self.sample_shape = _row_shape(sample)

    @property
    def recompute(self) -> bool:
        """Recompute the networks in the backward pass, to save memory."""
        return self._parts.recompute

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Call the pipeline; see `Generator.generate`."""
        steps = self._steps if steps is None else steps
        if is_fake(latents):
            return repeat(self._calls, latents, steps, self.sample_shape, self._parts.recompute)
        return self._run(latents, Span(), steps)().to(latents)

    @cached_property
    def _calls(self) -> list[Call]:
        return listen(self._parts)

    def split_sampler(self) -> SplitSampler | None:
        """The sampler in two parts; None where its steps are few, draw noise, or depend on those before."""
        first = self._first_state()
        if first is None or self._steps < FEWEST_STEPS or not is_linear(self._parts.pipeline.scheduler):
            return None
        run = self._run(torch.zeros(1, *self.latent_shape), Span(stop=1), self.steps)
        with torch.no_grad():
            state_shape = _row_shape(run())
        run.scheduler.__dict__.pop("step")  # that of the run
        return PipelineSplitSampler(self._run, run.scheduler, first, self.latent_shape, state_shape)

    def _first_state(self) -> FirstState | None:
        latents, first = self._probe.noise.latents, self._probe.first
        return None if latents is None or first is None else FirstState.between(latents, first[:1])

    def _run(self, latents: Tensor, span: Span, steps: int | None = None) -> Run:
        return Run(self._parts, latents.to(self.device), steps or self._steps, span, self._probe.outputs)


def _row_shape(rows: Any) -> tuple[int, ...]:
    return tuple(rows.shape[1:])
