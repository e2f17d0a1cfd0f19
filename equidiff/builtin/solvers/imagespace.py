"""`imagespace`: steps found without looking through the generator, after FlowOpt.

The step that would bring the *sample* to the target is applied to the *latent*, as if the generator were the identity.
Each costs a prior sample and backward passes through the objective alone.

References:
    Ronai, Kulikov and Michaeli (2025), "FlowOpt: fast optimization through whole flow processes for training-free
    editing".
    https://arxiv.org/abs/2510.22010
"""

from __future__ import annotations

import itertools
from typing import final

from equidiff.builtin.solvers.progress import Progress
from equidiff.contracts import (
    BuildContext,
    Coroutine,
    Equation,
    ResidualFunction,
    SampleJacobian,
    SampleJacobianAnswer,
    SamplerRequest,
    Solver,
    Step,
)
from equidiff.errors import UnsupportedError
from equidiff.numerics.gaussian import project_onto_shell
from equidiff.numerics.newton import as_matrix, clip_step, newton_step
from equidiff.registry.descriptors import Options
from equidiff.types import Latents

SHORTEST = 1e-3  # share of the whole step; after that a fresh start
PATIENCE = 20  # steps that may be made without halving the loss


@final
class ImageSpace(Solver):
    """Newton steps in the space of samples, applied to latents that keep their typical length, with backtracking."""

    budget = 128

    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        numbers = itertools.count()
        while not (yield from self._search(latents, residual, numbers)):
            latents = residual.draw(1)

    def _search(self, latents: Latents, residual: ResidualFunction, numbers: itertools.count[int]) -> Coroutine[bool]:
        here = yield from residual.sample_jacobian(latents)
        share, progress = 1.0, Progress(PATIENCE, here.loss.item())
        while True:
            yield Step(next(numbers), here)
            if here.loss.item() < residual.tolerance:
                return True
            there = yield from residual.sample_jacobian(self._moved(here, share))
            better = there.loss.item() < here.loss.item()
            here, share = (there, min(1.0, 1.5 * share)) if better else (here, share / 2)
            progress.note(here)
            if share < SHORTEST or progress.stalled:
                return False

    def costliest(self, equation: Equation) -> type[SamplerRequest]:
        """The derivative with respect to the sample."""
        return SampleJacobian

    def _moved(self, here: SampleJacobianAnswer, share: float) -> Latents:
        if here.sample_jacobian.shape[2:] != here.latents.shape[1:]:
            raise UnsupportedError(
                "The solver 'imagespace' needs a generator whose samples have the shape of its latents.",
                given=f"latents {tuple(here.latents.shape[1:])}, samples {tuple(here.samples.shape[1:])}",
                hint="--solver auto",
            )
        step = newton_step(here.residuals[0], as_matrix(here.sample_jacobian[0])).reshape(here.latents.shape)
        return project_onto_shell(here.latents + clip_step(share * step, float(here.latents.norm()) / 4)[0])


def build(argument: str | None, options: Options, context: BuildContext) -> Solver:
    """Build `imagespace`."""
    return ImageSpace()
