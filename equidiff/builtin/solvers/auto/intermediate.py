"""The search among the intermediate states of a split sampler."""

from __future__ import annotations

import itertools
from dataclasses import replace

from equidiff.builtin.solvers.auto.nested import without_steps
from equidiff.builtin.solvers.auto.newton import search_newton
from equidiff.builtin.solvers.callback import drive
from equidiff.builtin.solvers.lbfgs import minimize
from equidiff.contracts import Answer, Coroutine, ResidualFunction, Step, TailResidual

LOSS_LEFT = 0.003  # part of the loss that a search of states leaves: re-encoding is no more exact
SHARES_MOVED = (1.0, 0.5)  # of the way to the state that was found; half where the whole does not do when re-encoded
WORTHWHILE_LOSS = 0.7  # part of the loss that may be left by a round, for another one to be worth it
PATIENCE = 15  # evaluations in which L-BFGS may fail to halve the loss


def search_intermediate(
    here: Answer, residual: ResidualFunction, numbers: itertools.count[int], radius: float | None
) -> Coroutine[Answer]:
    """Search among the states and re-encode the one that was found, by turns.

    Args:
        here: one row, the start.
        residual: c(z), of a sampler that can be split.
        numbers: of the steps.
        radius: the first trust radius of Newton steps, as a fraction; by L-BFGS when None.

    Returns:
        The best answer seen.
    """
    here = yield from residual.split(here.latents)
    while True:
        before = here
        tail = TailResidual(residual, max(residual.tolerance / 4, LOSS_LEFT * before.loss.item()))
        start = replace(before, latents=before.states)
        if radius is None:
            search = drive(lambda ask, states=start.latents: minimize(ask, states, PATIENCE), tail, itertools.count())
        else:
            search = search_newton(start, tail, itertools.count(), radius)
        found = yield from without_steps(search, start)
        if not found.loss.item() < WORTHWHILE_LOSS * before.loss.item():
            return before
        for share in SHARES_MOVED:
            moved = start.latents + share * (found.latents - start.latents)
            there = yield from residual.reencode(before, moved)
            here = there if there.loss.item() < here.loss.item() else here
            yield Step(next(numbers), here)
            if here.loss.item() < max(residual.tolerance, WORTHWHILE_LOSS * before.loss.item()):
                break
        if here.loss.item() < residual.tolerance or not here.loss.item() < WORTHWHILE_LOSS * before.loss.item():
            return here
