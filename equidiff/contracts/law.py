"""The contract of laws: how members are distributed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator as Coroutine
from dataclasses import dataclass
from typing import Any

from equidiff.contracts.residual import Request, ResidualFunction, Step


@dataclass(frozen=True)
class Moves:
    """What a law did to one sample.

    Attributes:
        made: moves proposed.
        accepted: moves that were made.
    """

    made: int
    accepted: int


class Law(ABC):
    """How members are to be distributed: what follows the search for each of them.

    Attributes:
        exact: it is about `c(z) = 0` itself, so that a penalty, which is none of the equation, or arithmetic too coarse
            to tell when it holds, must be refused.
    """

    exact: bool = False

    @abstractmethod
    def move(self, start: Step, residual: ResidualFunction) -> Coroutine[Request | Step, Any, Moves | None]:
        """Yield a `Step` for each move, and return how many there were; None where the law makes none.

        The answer of the last step is the sample's result. What moves cost is counted, and not held against the budget.

        Args:
            start: the last step of the solver, a member.
            residual: computes losses, gradients and Jacobians; its `draw` is the only source of randomness.
        """
