"""Failure of a check."""

from __future__ import annotations


class ContractError(AssertionError):
    """A component that breaks its contract."""


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
        raise ContractError(f"{problem}.\nThe contract asks for {asked}.")
