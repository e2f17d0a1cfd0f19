"""`solve`: members as the solver finds them, which is no law in particular."""

from __future__ import annotations

from typing import final

from equidiff.contracts import BuildContext, Coroutine, Law, ResidualFunction, Step, Transitions
from equidiff.registry.descriptors import Options


@final
class AsSolved(Law):
    """Leaves every member where the solver left it."""

    def sample(self, start: Step, residual: ResidualFunction) -> Coroutine[Transitions | None]:
        yield from ()
        return None


def build(argument: str | None, options: Options, context: BuildContext) -> Law:
    """Build `solve`."""
    return AsSolved()
