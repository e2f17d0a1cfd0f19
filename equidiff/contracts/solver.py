"""The contract of solvers: from a start latent to a member."""

from __future__ import annotations

from abc import ABC, abstractmethod

from equidiff.contracts.equation import Equation
from equidiff.contracts.requests import Gradient, SamplerRequest
from equidiff.contracts.residual import Coroutine, ResidualFunction
from equidiff.types import Latents


class Solver(ABC):
    """A method that drives the residual of one sample to zero from a start latent.

    The run keeps many samples going at once and puts their requests together; a solver never sees the others.

    Attributes:
        budget: evaluations a sample may cost unless the user says otherwise.
        tolerance: loss below which a sample is a member, unless the user says otherwise; as text such as "8%", it is
            the distance from the target, as a part of the spread of the measurement over prior samples.
        weight: lambda, the factor on every squared residual.
    """

    budget: int
    tolerance: float | str = "8%"
    weight: float = 1.0

    @abstractmethod
    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        """Yield a `Step` for each iteration until the loss is below `residual.tolerance`, or hope is gone.

        Args:
            latents: a start, one row from N(0, I); a solver may choose another.
            residual: computes losses, gradients and Jacobians, and counts what they cost.
            budget: evaluations that this sample may cost; the run ends the solver when they are spent.
        """

    def check(self, equation: Equation) -> None:  # noqa: B027  any equation is accepted by default
        """Refuse an equation that this solver cannot be used on; any is accepted by default.

        Raises:
            UsageError: it cannot be used.
        """

    def describe(self, equation: Equation) -> str | None:
        """The method that it takes for this equation, as `run.json` records it; None where it has only one."""
        return None

    def costliest(self, equation: Equation) -> type[SamplerRequest]:
        """The request that takes the most memory of those it makes; `equidiff doctor` predicts a pass of it."""
        return Gradient
