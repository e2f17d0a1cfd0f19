"""Requests: which of them share a pass, what they cost, and that wrappers of a residual see each of them."""

from types import SimpleNamespace

import pytest
import torch
from analytic import Staged, linear_problem
from torch.testing import assert_close

from equidiff.builtin.solvers.auto import Auto
from equidiff.builtin.solvers.auto.coarse import CoarseResidual
from equidiff.builtin.solvers.imagespace import ImageSpace
from equidiff.builtin.solvers.infinite import Infinite
from equidiff.builtin.solvers.rejection import Rejection
from equidiff.contracts import (
    Candidates,
    Gradient,
    Jacobian,
    PassRequest,
    Reencode,
    ResidualFunction,
    SampleJacobian,
    Split,
    Stored,
    StoredJacobian,
    TailResidual,
    Value,
)
from equidiff.errors import UnsupportedError, UsageError
from equidiff.search.batching import Passes

SIZE, OUTPUTS = 8, 3
ROWS = torch.randn(5, SIZE, generator=torch.Generator().manual_seed(0))


class Bare(ResidualFunction):
    """A residual that passes its requests on."""

    tolerance, size, splittable = 1e-3, OUTPUTS, True

    def draw(self, count):
        return torch.zeros(count, SIZE)


def problem():
    return linear_problem(SIZE, OUTPUTS, Staged(SIZE))


def all_requests(rows=ROWS):
    states, stored = problem().split(rows).states, (rows, problem().generator.generate(rows), torch.zeros(len(rows)))
    return [
        Value(rows),
        Gradient(rows),
        Jacobian(rows),
        SampleJacobian(rows),
        Split(rows),
        Reencode(rows, states, states),
        Stored(*stored),
        StoredJacobian(*stored),
    ]


def asked_of(residual, kind):
    """The request that a method of a residual puts to the run."""
    here = SimpleNamespace(latents=ROWS[:1], states=ROWS[:1, None])
    arguments = {"candidates": (4,), "reencode": (here, here.states)}
    return next(getattr(residual, kind)(*arguments.get(kind, (ROWS[:1],))))


def test_only_requests_that_agree_in_all_but_their_rows_share_a_pass():
    alike = Value(ROWS[:1], steps=2), Value(ROWS[1:], steps=2)
    assert alike[0].key == alike[1].key
    others = [Value(ROWS), Value(ROWS, steps=3), Value(ROWS, tail=True), Value(ROWS, steps=2, tail=True)]
    keys = {each.key for each in (alike[0], *others, *all_requests())}
    assert len(keys) == 1 + len(others) + len(all_requests()) - 1  # Value(ROWS) is in both lists


@pytest.mark.parametrize("number", range(8))
def test_rows_may_be_split_and_joined(number):
    request = all_requests()[number]
    again = PassRequest.join([request.take(slice(0, 2)), request.take([2, 3, 4])])
    assert type(again) is type(request)
    for name, value in vars(request).items():
        same = (
            torch.equal(value, getattr(again, name))
            if isinstance(value, torch.Tensor)
            else value == getattr(again, name)
        )
        assert same, name


@pytest.mark.parametrize("number", range(8))
def test_answers_do_not_depend_on_the_batch(number):
    request = all_requests()[number]
    whole, pieces = (Passes(batch).compute(request, problem()).answer for batch in (16, 2))
    assert type(whole) is type(pieces)
    for name, value in vars(whole).items():
        if isinstance(value, torch.Tensor):
            assert_close(value, getattr(pieces, name), msg=lambda text, name=name: f"{name}: {text}")


def test_costs_are_passes_by_the_row():
    equation = problem()
    tail, back, objective = equation.tail_share, equation.reencode_share, equation.objective_share
    costs = [request.cost(equation) for request in all_requests()]
    expected = [(5, 0), (5, 5), (5, 5 * OUTPUTS), (5, 5 * OUTPUTS * objective), (5, 0), (5 + 5 * back, 0)]
    expected += [(5 * objective, 0), (5 * objective, 5 * OUTPUTS * objective)]
    assert [each for cost in costs for each in cost] == pytest.approx([each for cost in expected for each in cost])
    assert Gradient(ROWS, steps=1).cost(equation) == pytest.approx((5 / 4, 5 / 4))  # of the generator's four steps
    assert Jacobian(ROWS, tail=True).cost(equation) == pytest.approx((5 * tail, 5 * OUTPUTS * tail))


@pytest.mark.parametrize("kind", ["value", "gradient", "jacobian", "sample_jacobian", "candidates"])
def test_a_coarse_residual_is_coarse_whatever_it_is_asked(kind):
    assert asked_of(Bare(), kind).steps is None
    assert asked_of(CoarseResidual(Bare(), 2), kind).steps == 2


def test_a_coarse_sample_is_measured_without_making_it_again():
    here = problem().value(ROWS[:1])
    request = next(CoarseResidual(Bare(), 2).stored_jacobian(here))
    assert isinstance(request, StoredJacobian)
    assert request.samples is here.samples


@pytest.mark.parametrize("kind", ["split", "reencode"])
def test_a_coarse_residual_cannot_be_split(kind):
    with pytest.raises(UnsupportedError, match="coarse"):
        asked_of(CoarseResidual(Bare(), 2), kind)


@pytest.mark.parametrize("kind", ["value", "gradient", "jacobian", "sample_jacobian"])
def test_the_residual_of_a_tail_begins_there(kind):
    assert not asked_of(Bare(), kind).tail
    assert asked_of(TailResidual(Bare(), 1e-6), kind).tail


@pytest.mark.parametrize("kind", ["candidates", "split", "reencode"])
def test_the_residual_of_a_tail_has_no_prior_and_no_tail(kind):
    with pytest.raises(UnsupportedError):
        asked_of(TailResidual(Bare(), 1e-6), kind)
    with pytest.raises(UnsupportedError):
        TailResidual(Bare(), 1e-6).draw(1)


def test_candidates_of_one_kind_share_a_pool():
    assert Candidates(3) == Candidates(3) != Candidates(3, steps=2)


def test_the_tail_of_a_sampler_that_cannot_be_split_is_refused():
    whole = linear_problem(SIZE, OUTPUTS)
    for request in (Value(ROWS, tail=True), Split(ROWS), Reencode(ROWS, ROWS, ROWS)):
        with pytest.raises(UnsupportedError, match="cannot be split"):
            request.run(whole)


@pytest.mark.parametrize(
    ("solver", "outputs", "request_type"),
    [
        (Auto(), 4, Jacobian),
        (Auto(), 5, Gradient),
        (Infinite(), 4, Gradient),
        (ImageSpace(), 1, SampleJacobian),
        (Rejection(), 1, Value),
    ],
)
def test_solvers_name_the_costliest_of_their_requests(solver, outputs, request_type):
    assert solver.costliest(linear_problem(SIZE, outputs)) is request_type


def test_a_solver_refuses_a_coarse_search_that_is_not_coarser():
    Auto(coarse=3).check(problem())
    for solver, equation in ((Auto(coarse=4), problem()), (Auto(coarse=1), linear_problem(SIZE))):
        with pytest.raises(UsageError, match="would not be coarser"):
            solver.check(equation)
