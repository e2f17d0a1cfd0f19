"""The contract of laws: the distribution of members."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from equidiff.contracts.answers import Step
from equidiff.contracts.equation import Equation
from equidiff.contracts.residual import Coroutine, ResidualFunction


@dataclass(frozen=True)
class Transitions:
    """Transitions that a law made from one member to another.

    Attributes:
        proposed: how many were proposed.
        accepted: how many of these were accepted.
    """

    proposed: int
    accepted: int


class Law(ABC):
    """A distribution of members: transitions from each member that a solver found to others of the set."""

    @abstractmethod
    def sample(self, start: Step, residual: ResidualFunction) -> Coroutine[Transitions | None]:
        """Yield a `Step` for each transition, and return how many there were; None where the law makes none.

        The answer of the last step is the sample's result. Transitions are counted, and not held against the budget.

        Args:
            start: the last step of the solver, a member.
            residual: computes losses, gradients and Jacobians; its `draw` is the only source of randomness.
        """

    def check(self, equation: Equation, dtype: str) -> None:  # noqa: B027  any equation is accepted by default
        """Refuse an equation that the law is not defined for; any is accepted by default.

        Args:
            equation: of the run.
            dtype: "float32", "tf32" or "bfloat16", as the run computes.

        Raises:
            UsageError: the law is not defined for it.
        """
