"""`imagespace`: moves found without looking through the generator, after FlowOpt.

The move that would bring the *sample* to the target is applied to the *latent*, as if the generator were the identity.
Each costs a plain sample and backward passes through the objective alone.

References:
    Ronai, Kulikov and Michaeli (2025), "FlowOpt: fast optimization through whole flow processes for training-free
    editing".
    https://arxiv.org/abs/2510.22010
"""

from __future__ import annotations

import itertools
from collections.abc import Generator as Coroutine
from typing import Any, final

from equidiff.builtin.solvers.progress import Progress
from equidiff.contracts import Answer, BuildContext, Request, ResidualFunction, Solver, Step
from equidiff.errors import UnsupportedError
from equidiff.numerics.gaussian import typical
from equidiff.numerics.newton import newton_move, shorten
from equidiff.registry.descriptors import Options
from equidiff.types import Latents

SHORTEST = 1e-3  # of the whole move; after that a fresh start
PATIENCE = 20  # moves that may be made without halving the loss


@final
class ImageSpace(Solver):
    """Newton moves in the space of samples, applied to latents that keep their typical length, with backtracking."""

    budget = 128
    tolerance = 1e-3

    def solve(
        self, latents: Latents, residual: ResidualFunction, budget: float
    ) -> Coroutine[Request | Step, Any, None]:
        numbers = itertools.count()
        while not (yield from self._search(latents, residual, numbers)):
            latents = residual.draw(1)

    def _search(
        self, latents: Latents, residual: ResidualFunction, numbers: itertools.count[int]
    ) -> Coroutine[Request | Step, Any, bool]:
        here = yield from residual.sensitivity(latents)
        share, progress = 1.0, Progress(PATIENCE, here.loss.item())
        while True:
            yield Step(next(numbers), here)
            if here.loss.item() < residual.tolerance:
                return True
            there = yield from residual.sensitivity(self._moved(here, share))
            better = there.loss.item() < here.loss.item()
            here, share = (there, min(1.0, 1.5 * share)) if better else (here, share / 2)
            progress.note(here)
            if share < SHORTEST or progress.stalled:
                return False

    def _moved(self, here: Answer, share: float) -> Latents:
        assert here.sensitivity is not None  # it was asked for
        if here.sensitivity.shape[2:] != here.latents.shape[1:]:
            raise UnsupportedError(
                "The solver 'imagespace' needs a generator whose samples have the shape of its latents.",
                given=f"latents {tuple(here.latents.shape[1:])}, samples {tuple(here.samples.shape[1:])}",
                hint="--solver auto",
            )
        move = newton_move(here.residuals[0], here.sensitivity[0].flatten(1).double()).reshape(here.latents.shape)
        return typical(here.latents + shorten(share * move, float(here.latents.norm()) / 4)[0])


def build(argument: str | None, options: Options, context: BuildContext) -> Solver:
    """Build `imagespace`."""
    return ImageSpace()
