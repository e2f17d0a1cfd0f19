"""`solve`: members as the solver finds them, which is no law in particular."""

from __future__ import annotations

from collections.abc import Generator as Coroutine
from typing import Any, final

from equidiff.contracts import BuildContext, Law, Moves, Request, ResidualFunction, Step
from equidiff.registry.descriptors import Options


@final
class AsSolved(Law):
    """Leaves every member where the solver left it."""

    def move(self, start: Step, residual: ResidualFunction) -> Coroutine[Request | Step, Any, Moves | None]:
        yield from ()
        return None


def build(argument: str | None, options: Options, context: BuildContext) -> Law:
    """Build `solve`."""
    return AsSolved()
