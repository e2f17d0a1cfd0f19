"""The solver `auto`: starts from prior samples, chooses the search for each, and restarts."""

from __future__ import annotations

import itertools
from typing import final

from equidiff.builtin.solvers.auto.coarse import CoarseResidual
from equidiff.builtin.solvers.auto.intermediate import search_intermediate
from equidiff.builtin.solvers.auto.nested import without_steps
from equidiff.builtin.solvers.auto.newton import search_newton
from equidiff.builtin.solvers.callback import drive
from equidiff.builtin.solvers.descriptors import AutoOptions
from equidiff.builtin.solvers.lbfgs import minimize_on_sphere
from equidiff.contracts import (
    Answer,
    BuildContext,
    Coroutine,
    Equation,
    Gradient,
    Jacobian,
    ResidualFunction,
    SamplerRequest,
    Solver,
    Step,
)
from equidiff.errors import UsageError
from equidiff.numerics.gaussian import project_onto_shell
from equidiff.types import Latents

MAX_JACOBIAN_RESIDUALS = 4  # with more of them a Jacobian is not worth its backward passes
CANDIDATES_OF_FEW, CANDIDATES_OF_MANY = 3, 8  # prior samples to start from, for few and for many residuals
PATIENCE = 20  # evaluations in which L-BFGS may fail to halve the loss


@final
class Auto(Solver):
    """Shortest Newton steps with a trust region and restarts; L-BFGS where there are many residuals.

    Args:
        pool: prior samples to start from, the best first, then the next where the search stalls: 3 where there are few
            residuals, which are near their target often, and new ones where the best of them fails; else 8.
        radius: the first trust radius, as a fraction of the root of the latent's size.
        coarse: sampler steps to search with first; all of them from the start when absent.
    """

    budget = 128

    def __init__(self, pool: int | None = None, radius: float = 0.5, coarse: int | None = None) -> None:
        self.pool = pool
        self.radius = radius
        self.coarse = coarse

    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        numbers = itertools.count()
        few = _has_few(residual)
        count = self.pool or (CANDIDATES_OF_FEW if few else CANDIDATES_OF_MANY)
        while True:
            candidates = yield from residual.candidates(count, self.coarse)
            # with few residuals new candidates are cheaper than going on from the second best
            for rank in range(1 if few else len(candidates.latents)):
                here = candidates.rows(rank, rank + 1)
                if self.coarse is not None:
                    yield Step(next(numbers), (yield from residual.value(here.latents)))
                    rough = self.search(here, CoarseResidual(residual, self.coarse), itertools.count())
                    near = yield from without_steps(rough, here)
                    here = yield from residual.value(near.latents)
                yield Step(next(numbers), here)
                if here.loss.item() < residual.tolerance or (yield from self.search(here, residual, numbers)):
                    return

    def search(self, here: Answer, residual: ResidualFunction, numbers: itertools.count[int]) -> Coroutine[bool]:
        """Search from here until solved (True) or stalled (False)."""
        if _has_few(residual):
            here = yield from search_newton(here, residual, numbers, self.radius)
        elif not residual.splittable:
            return (yield from _descend(here, residual, numbers))
        if residual.splittable and here.loss.item() >= residual.tolerance:
            radius = self.radius if _has_few(residual) else None
            here = yield from search_intermediate(here, residual, numbers, radius)
        return here.loss.item() < residual.tolerance

    def check(self, equation: Equation) -> None:
        """Refuse a coarse search that would not be coarser than the sampler."""
        usual = equation.generator.steps
        if self.coarse is None or (usual is not None and self.coarse < usual):
            return
        raise UsageError(
            "The coarse search would not be coarser than the sampler.",
            given=f"coarse={self.coarse}",
            expected="a generator with sampler steps" if usual is None else f"fewer than the generator's {usual} steps",
            hint="--solver auto" if usual is None or usual < 2 else f"--solver auto,coarse={usual // 2}",
        )

    def describe(self, equation: Equation) -> str:
        """Newton for few residuals, L-BFGS for more."""
        split = equation.tail is not None
        if equation.size <= MAX_JACOBIAN_RESIDUALS:
            return "Newton steps, of intermediate states where the target is far" if split else "Newton steps"
        return "L-BFGS on intermediate states" if split else "L-BFGS"

    def costliest(self, equation: Equation) -> type[SamplerRequest]:
        """A Jacobian for few residuals; for more a gradient, of the whole sampler at most."""
        return Jacobian if equation.size <= MAX_JACOBIAN_RESIDUALS else Gradient


def _has_few(residual: ResidualFunction) -> bool:
    return residual.size <= MAX_JACOBIAN_RESIDUALS


def _descend(here: Answer, residual: ResidualFunction, numbers: itertools.count[int]) -> Coroutine[bool]:
    """L-BFGS until solved (True) or stalled (False)."""
    start = project_onto_shell(here.latents)
    return drive(lambda ask: minimize_on_sphere(ask, start, PATIENCE), residual, numbers)


def build(argument: str | None, options: AutoOptions, context: BuildContext) -> Solver:
    """Build `auto`."""
    return Auto(options.pool, options.radius, options.coarse)
