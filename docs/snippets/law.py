"""`within`: the prior within the tolerance, in the place of a law of your own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

from equidiff.contracts import BuildContext, Coroutine, Law, ResidualFunction, Step, Transitions

if TYPE_CHECKING:
    from equidiff_within.plugin import WithinOptions

ANGLE = 0.1  # radians that a proposal is away


@final
class WithinLaw(Law):
    """Metropolis transitions that leave the prior invariant, given that the loss is below the tolerance.

    A proposal cos(a) z + sin(a) e, with e from N(0, I), leaves N(0, I) as it is. One whose loss is below the tolerance
    is accepted, and the chain stays where it is otherwise.

    Args:
        moves: transitions of each member.

    References:
        Cotter et al. (2013), "MCMC methods for functions", section 4.2. https://arxiv.org/abs/1202.0709
    """

    def __init__(self, moves: int = 16) -> None:
        self.moves = moves

    def sample(self, start: Step, residual: ResidualFunction) -> Coroutine[Transitions | None]:
        """Yield a step for each transition, and return how many were proposed and accepted.

        Put your own transitions here. `residual.draw` is the only source of randomness. The last step is the result,
        so it must be a member.
        """
        here, accepted = start.answer, 0
        for number in range(1, self.moves + 1):
            proposal = math.cos(ANGLE) * here.latents + math.sin(ANGLE) * residual.draw(1)
            there = yield from residual.value(proposal)
            if there.loss.item() < residual.tolerance:
                here, accepted = there, accepted + 1
            yield Step(start.number + number, here)
        return Transitions(self.moves, accepted)


def build(argument: str | None, options: WithinOptions, context: BuildContext) -> Law:
    """Build `within`."""
    return WithinLaw(options.moves)
