"""Checks of the contract of a law."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import torch
from torch import Tensor

from equidiff.builtin.solvers.auto import Auto
from equidiff.contracts import Law, Transitions
from equidiff.search.engine import FAILED, MEMBER
from equidiff.testing.failure import Check, require, run_all
from equidiff.testing.solver import Drive, drive, easy_problem

SAMPLES = 4
TOLERANCE = 1e-2


def check_law(law: Law) -> None:
    """Check that a law keeps its contract.

    Its transitions must begin at a member and end at one, number their steps on from those of the solver, be counted,
    and depend on `(seed, index)` alone. That they leave the distribution as it is that you mean is for a test of your
    own, on a problem whose distribution you know.

    Args:
        law: the law to check.

    Raises:
        ContractError: the law breaks its contract.
    """
    run_all(law_checks(law))


def law_checks(law: Law) -> list[Check]:
    """The checks of a law, by name; see `check_law`."""
    name = type(law).__name__
    together = cache(lambda: _drive(law, range(SAMPLES), SAMPLES, 1))
    return [
        Check("the equation of a linear problem", lambda: _check_equation(law, name)),
        Check("transitions between members", lambda: _check_results(together(), name)),
        Check("random numbers and rows", lambda: _check_streams(law, together(), name)),
    ]


def _check_equation(law: Law, name: str) -> None:
    require(isinstance(law, Law), f"{name} is not a Law", "a subclass of equidiff.Law")
    law.check(easy_problem(), "float32")


def _drive(law: Law, indices: Iterable[int], batch: int, torch_seed: int) -> Drive:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed)
        return drive(Auto(), easy_problem(), indices=indices, batch=batch, tolerance=TOLERANCE, law=law)


def _check_results(done: Drive, name: str) -> None:
    for result in done.results:
        require(result.status != FAILED, f"{name} fails: {result.error}", "transitions from one member to another")
        asked = "a last step whose loss is below `residual.tolerance`"
        require(result.status == MEMBER, f"{name} ends at a sample that is not a member", asked)
        numbers = [step.step for step in done.steps if step.index == result.index]
        asked = "numbers that go on from `start.number`, one by one"
        require(numbers == list(range(len(numbers))), f"{name} numbers its steps {numbers}", asked)
        made = result.transitions
        asked = "Transitions(proposed, accepted) at the end of `sample`, or None of a law that makes none"
        require(made is None or isinstance(made, Transitions), f"{name} returns {made!r}", asked)
        counted = made is None or 0 <= made.accepted <= made.proposed
        require(counted, f"{name} returns {made!r}", "no more transitions accepted than proposed")
    all_made = [result.transitions for result in done.results if result.transitions is not None]
    stuck = sum(made.proposed for made in all_made) > 0 and not any(made.accepted for made in all_made)
    require(not stuck, f"{name} rejects every transition on a linear problem", "transitions that can be accepted")


def _check_streams(law: Law, together: Drive, name: str) -> None:
    again = _drive(law, range(SAMPLES), SAMPLES, 2)
    same = all(map(torch.equal, _latents(together), _latents(again)))
    require(same, f"{name} gives another result when it is called again", "randomness from `residual.draw` alone")
    alone = _drive(law, [SAMPLES - 1], 1, 3)
    same = torch.allclose(_latents(alone)[0], _latents(together)[-1], atol=1e-4)
    asked = "samples that depend on (seed, index) alone: no state kept between samples"
    require(same, f"{name} moves sample {SAMPLES - 1} otherwise alone than beside others", asked)


def _latents(done: Drive) -> list[Tensor]:
    return [result.answer.latents for result in done.results if result.answer is not None]
