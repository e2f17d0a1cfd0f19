"""The contract of solvers: from a start latent to a member."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator as Coroutine
from typing import Any

from equidiff.contracts.residual import Request, ResidualFunction, Step
from equidiff.types import Latents


class Solver(ABC):
    """A method that drives the residual of one sample to zero from a start latent.

    The run keeps many samples going at once and puts their requests together; a solver never sees the others.

    Attributes:
        budget: evaluations a sample may cost unless the user says otherwise.
        tolerance: loss below which a sample is a member, unless the user says otherwise.
        weight: lambda, the factor on every squared residual.
        coarse: sampler steps that it asks for where it needs no more; None where it never asks for fewer than all.
    """

    budget: int
    tolerance: float = 0.01
    weight: float = 1.0
    coarse: int | None = None

    @abstractmethod
    def solve(
        self, latents: Latents, residual: ResidualFunction, budget: float
    ) -> Coroutine[Request | Step, Any, None]:
        """Yield a `Step` for each iteration until the loss is below `residual.tolerance`, or hope is gone.

        Args:
            latents: a start, one row from N(0, I); a solver may choose another.
            residual: computes losses, gradients and Jacobians, and counts what they cost.
            budget: evaluations that this sample may cost; the run ends the solver when they are spent.
        """

    def choice(self, residuals: int, midway: bool) -> str | None:
        """Which of its methods it takes, as `run.json` says it; None where it has only one.

        Args:
            residuals: how many there are.
            midway: whether the generator's sampler can be stopped on its way.
        """
        return None
