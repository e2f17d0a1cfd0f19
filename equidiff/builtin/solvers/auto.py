"""`auto`: the default solver. Needs no learning rate.

From a plain sample that is near the target already it takes the smallest move that zeroes the linearised residual,
shortened to a trust radius that grows and shrinks with how well the linearisation held, and keeps the latent at a
length that is typical of the prior. Where progress ends, it goes on from another plain sample.

With few residuals the linearisation is their Jacobian, corrected after each move by what was seen (Broyden), so that
most moves cost a forward pass alone. With many, a Jacobian would cost more than it gains: then it is quasi-Newton
descent of the loss (L-BFGS) over latents of the start's own length.

Where the sampler has a middle (`Generator.midway`), far targets and many residuals are searched for among its states
there: what is left of the sampler is cheap and hardly bent. The latent that leads to what was found is retraced,
nearly, and the search goes on from what it really leads to.

A sampler may be made coarse for most of the search: fewer of its steps, which cost less, bring the latent near; the
rest is done with all of them, and only that counts.

References:
    Nocedal and Wright (2006), "Numerical Optimization", chapters 4 (trust regions), 7 (L-BFGS) and 11 (nonlinear
    equations).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator as Coroutine
from dataclasses import replace
from typing import Any, final

from torch import Tensor

from equidiff.builtin.solvers.callback import drive
from equidiff.builtin.solvers.descriptors import AutoOptions
from equidiff.builtin.solvers.lbfgs import minimize, minimize_on_sphere
from equidiff.builtin.solvers.progress import Progress
from equidiff.contracts import Answer, BuildContext, FromMidway, Request, ResidualFunction, Solver, Step
from equidiff.numerics.gaussian import typical
from equidiff.numerics.newton import broyden, newton_move, shorten
from equidiff.types import Latents

FEW, MANY = 3, 8  # plain samples to start from, for few and for many residuals
JACOBIAN_OUTPUTS = 4  # with up to so many residuals a Jacobian is worth its backward passes
PATIENCE = 20  # evaluations in which L-BFGS may fail to halve the loss
GOOD, POOR = 0.3, 0.8  # ratios of the loss after and before a move: longer moves, shorter moves
NEAR, BEYOND = 0.5, 2.5  # moves of half the prior's deviation are trusted; longer ones are stretched, so far at most
FAR = 2.0  # a longer move is made midway, where there is such
NEARER = 0.003  # part of the loss that is left midway before it is retraced, which is no more exact
SHARES = (1.0, 0.5)  # of what was found midway; a part of it where the whole does not do once it is retraced
AGAIN = 0.7  # part of the loss that may be left by a turn, for another one to be worth it
MIDWAY_PATIENCE = 15  # evaluations in which L-BFGS may fail to halve the loss there
Search = Coroutine[Request | Step, Any, bool]


@final
class Auto(Solver):
    """Minimum-norm Newton moves with a trust radius and restarts.

    Args:
        pool: plain samples to start from, the best first, then the next where the search stalls: 3 where there are few
            residuals, which are near their target often, and new ones where the best of them fails; else 8.
        radius: the first trust radius, as a fraction of the root of the latent's size.
        coarse: sampler steps to search with first; all of them from the start when absent.
    """

    budget = 128
    tolerance = 1e-3

    def __init__(self, pool: int | None = None, radius: float = 0.5, coarse: int | None = None) -> None:
        self.pool = pool
        self.radius = radius
        self.coarse = coarse

    def solve(
        self, latents: Latents, residual: ResidualFunction, budget: float
    ) -> Coroutine[Request | Step, Any, None]:
        numbers = itertools.count()
        few = residual.size <= JACOBIAN_OUTPUTS
        cards = self.pool or (FEW if few else MANY)
        while True:
            hand = yield from residual.pool(cards, self.coarse)
            # with few residuals new cards are cheaper than going on from a hand's second best
            for card in range(1 if few else cards):
                here = hand.rows(card, card + 1)
                if self.coarse is not None:
                    yield Step(next(numbers), (yield from residual.value(here.latents)))
                    rough = self.search(here, _Coarse(residual, self.coarse), itertools.count())
                    near = yield from _quietly(rough, here)
                    here = yield from residual.value(near.latents)
                yield Step(next(numbers), here)
                if here.loss.item() < residual.tolerance or (yield from self.search(here, residual, numbers)):
                    return

    def choice(self, residuals: int, midway: bool) -> str:
        """Newton moves for few residuals, L-BFGS for more."""
        if residuals <= JACOBIAN_OUTPUTS:
            return "Newton moves; midway where the target is far" if midway else "Newton moves"
        return "L-BFGS midway" if midway else "L-BFGS"

    def search(self, here: Answer, residual: ResidualFunction, numbers: itertools.count[int]) -> Search:
        """Moves from here until solved (True) or stalled (False)."""
        if residual.size <= JACOBIAN_OUTPUTS:
            here = yield from self._newton(here, residual, numbers)
        elif not residual.midway:
            return (yield from _descend(here, residual, numbers))
        if residual.midway and here.loss.item() >= residual.tolerance:
            here = yield from self._midway(here, residual, numbers)
        return here.loss.item() < residual.tolerance

    def _midway(
        self, here: Answer, residual: ResidualFunction, numbers: itertools.count[int]
    ) -> Coroutine[Request | Step, Any, Answer]:
        """Searches among the states midway and retraces what is found, by turns; returns the best that it saw."""
        here = yield from residual.begin(here.latents)
        while True:
            assert here.states is not None  # it was asked for
            rest = FromMidway(residual, max(residual.tolerance / 4, NEARER * here.loss.item()))
            start = replace(here, latents=here.states)
            if residual.size <= JACOBIAN_OUTPUTS:
                found = yield from _quietly(self._newton(start, rest, itertools.count()), start)
            else:
                found = yield from _quietly(_descend_freely(start, rest), start)
            if not found.loss.item() < AGAIN * here.loss.item():
                return here
            before = here
            for share in SHARES:
                moved = start.latents + share * (found.latents - start.latents)
                there = yield from residual.retrace(before, moved)
                here = there if there.loss.item() < here.loss.item() else here
                yield Step(next(numbers), here)
                if here.loss.item() < max(residual.tolerance, AGAIN * before.loss.item()):
                    break
            if here.loss.item() < residual.tolerance or not here.loss.item() < AGAIN * before.loss.item():
                return here

    def _newton(
        self, here: Answer, residual: ResidualFunction, numbers: itertools.count[int]
    ) -> Coroutine[Request | Step, Any, Answer]:
        """Newton moves until solved, stalled, or far from the target where there is a better way; returns the best."""
        radius = self._first_radius(here, residual)
        progress = Progress(patience=1, loss=here.loss.item())
        while not progress.stalled:
            here = yield from residual.jacobian(here.latents)
            assert here.jacobian is not None  # it was asked for
            jacobian, fresh = here.jacobian[0].flatten(1).double(), True
            while True:
                move = stretch(newton_move(here.residuals[0], jacobian), len(jacobian)).reshape(here.latents.shape)
                if residual.midway and float(move.norm()) > FAR:
                    return here
                move, length = shorten(move, radius)
                if length == 0:
                    return here
                there = yield from residual.value(_bounded(here.latents + move, residual))
                ratio = there.loss.item() / here.loss.item()
                radius = next_radius(radius, length, ratio)
                jacobian = broyden(jacobian, here, there)
                here = there if ratio < 1 else here
                yield Step(next(numbers), here)
                if here.loss.item() < residual.tolerance:
                    return here
                # a corrected Jacobian is good for as long as it serves; a fresh one gets a second, shorter try
                if not (ratio < POOR or fresh):
                    break
                fresh = False
            progress.note(here)
        return here

    def _first_radius(self, here: Answer, residual: ResidualFunction) -> float:
        moving = here.latents[0, 0] if isinstance(residual, FromMidway) else here.latents[0]
        return self.radius * math.sqrt(moving.numel())


def _descend(here: Answer, residual: ResidualFunction, numbers: itertools.count[int]) -> Search:
    """Moves by L-BFGS until solved (True) or stalled (False)."""
    return drive(lambda ask: minimize_on_sphere(ask, typical(here.latents), PATIENCE), residual, numbers)


def _descend_freely(here: Answer, residual: ResidualFunction) -> Search:
    """The same among states, which may be of any length."""
    return drive(lambda ask: minimize(ask, here.latents, MIDWAY_PATIENCE), residual, itertools.count())


@final
class _Coarse(ResidualFunction):
    """The same residual with fewer sampler steps."""

    def __init__(self, residual: ResidualFunction, steps: int) -> None:
        self.tolerance, self.size = residual.tolerance, residual.size
        self._residual, self._steps = residual, steps

    def value(self, latents: Latents, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        return self._residual.value(latents, self._steps)

    def gradient(self, latents: Latents, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        return self._residual.gradient(latents, self._steps)

    def jacobian(self, latents: Latents, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        return self._residual.jacobian(latents, self._steps)

    def draw(self, count: int) -> Latents:
        return self._residual.draw(count)


def _quietly(search: Coroutine[Request | Step, Any, Any], here: Answer) -> Coroutine[Request | Step, Any, Answer]:
    """Run a search, keep its steps to ourselves, and return where it ended."""
    answer = None
    while True:
        try:
            item = search.send(answer)
        except StopIteration:
            return here
        answer = None
        if isinstance(item, Step):
            here = item.answer
        else:
            answer = yield item


def stretch(move: Tensor, residuals: int) -> Tensor:
    """Aim beyond a far target: the slope of a single residual wears off along a long move.

    With several residuals, whose slopes wear off unequally, it does harm.

    Args:
        move: `[d]`.
        residuals: how many it is to zero.
    """
    return move * min(max(float(move.norm()) / NEAR, 1.0), BEYOND) if residuals == 1 else move


def next_radius(radius: float, length: float, ratio: float) -> float:
    """The trust radius after a move of this length changed the loss by this ratio."""
    if ratio < GOOD:
        return max(radius, 2 * length)
    return radius if ratio < POOR else length / 3


def _bounded(latents: Tensor, residual: ResidualFunction) -> Tensor:
    """Latents of a typical length; states, of which none is known, as they are."""
    return latents if isinstance(residual, FromMidway) else typical(latents)


def build(argument: str | None, options: AutoOptions, context: BuildContext) -> Solver:
    """Build `auto`."""
    return Auto(options.pool, options.radius, options.coarse)
