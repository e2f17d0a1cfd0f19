"""The check of laws: those that ship pass, and each breakage is caught."""

import pytest
import torch

from equidiff.builtin.laws.conditional import Conditional
from equidiff.builtin.laws.solve import AsSolved
from equidiff.contracts import Law, Step, Transitions
from equidiff.testing import ContractError, check_law


@pytest.mark.parametrize("law", [AsSolved(), Conditional(moves=6)])
def test_laws_that_ship_keep_their_contract(law):
    check_law(law)


def law(sample):
    return type("Broken", (Law,), {"sample": sample})()


def stays(self, start, residual):
    yield Step(start.number + 1, (yield from residual.value(start.answer.latents)))
    return Transitions(1, 1)


def leaves(self, start, residual):
    yield Step(start.number + 1, (yield from residual.value(start.answer.latents + 5)))
    return Transitions(1, 1)


def miscounts(self, start, residual):
    yield from stays(self, start, residual)
    return Transitions(1, 2)


def returns_a_number(self, start, residual):
    yield from stays(self, start, residual)
    return 1


def is_stuck(self, start, residual):
    yield from stays(self, start, residual)
    return Transitions(1, 0)


def numbers_anew(self, start, residual):
    yield Step(0, (yield from residual.value(start.answer.latents)))
    return Transitions(1, 1)


def is_random(self, start, residual):
    moved = start.answer.latents + 1e-3 * torch.randn_like(start.answer.latents)
    yield Step(start.number + 1, (yield from residual.value(moved)))
    return Transitions(1, 1)


def raises(self, start, residual):
    yield from ()
    raise RuntimeError("on purpose")


def test_a_law_that_stays_where_it_is_keeps_it_too():
    check_law(law(stays))


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (leaves, "ends at a sample that is not a member"),
        (miscounts, "accepted than proposed"),
        (returns_a_number, "returns 1"),
        (is_stuck, "rejects every transition"),
        (numbers_anew, "numbers its steps"),
        (is_random, "another result when it is called again"),
        (raises, "fails: RuntimeError: on purpose"),
    ],
)
def test_a_broken_law_is_caught(sample, message):
    with pytest.raises(ContractError, match=message):
        check_law(law(sample))


def test_a_law_keeps_no_state_between_samples():
    moved = []

    def remembers(self, start, residual):
        moved.append(start)
        shift = 1e-3 * (len(moved) % 3)
        yield Step(start.number + 1, (yield from residual.value(start.answer.latents + shift)))
        return Transitions(1, 1)

    with pytest.raises(ContractError, match=r"called again|alone than beside others"):
        check_law(law(remembers))


def test_something_else_is_no_law():
    with pytest.raises(ContractError, match="is not a Law"):
        check_law(object())
