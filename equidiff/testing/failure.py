"""How a check fails."""

from __future__ import annotations


class ContractError(AssertionError):
    """A component does not keep its contract."""


def require(condition: bool, problem: str, asked: str) -> None:
    """Raise unless the condition holds.

    Args:
        condition: what must be true.
        problem: what is wrong, naming the component.
        asked: what the contract asks for.

    Raises:
        ContractError: the condition does not hold.
    """
    if not condition:
        raise ContractError(f"{problem}.\nThe contract asks for {asked}.")
