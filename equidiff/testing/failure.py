"""Checks by name, and their failure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


class ContractError(AssertionError):
    """A component that breaks its contract.

    Args:
        problem: the problem, naming the component and the method.
        asked: the requirement of the contract; None where the problem says it.

    Attributes:
        problem: as given.
        asked: as given.
    """

    def __init__(self, problem: str, asked: str | None = None) -> None:
        super().__init__(problem if asked is None else f"{problem}.\nThe contract asks for {asked}.")
        self.problem, self.asked = problem, asked


@dataclass(frozen=True)
class Check:
    """One check of a contract.

    Attributes:
        title: the subject of the check, a few words.
        run: carries it out; raises `ContractError` where it fails, and returns a text where it cannot be tried.
    """

    title: str
    run: Callable[[], object]


def require(condition: bool, problem: str, asked: str) -> None:
    """Raise unless the condition holds.

    Args:
        condition: what must be true.
        problem: the problem, naming the component.
        asked: the requirement of the contract.

    Raises:
        ContractError: the condition does not hold.
    """
    if not condition:
        raise ContractError(problem, asked)


def run_all(checks: Iterable[Check]) -> None:
    """Carry out checks, up to the first that fails.

    Raises:
        ContractError: one fails.
    """
    for check in checks:
        check.run()
