"""Rows that raise, hang, or are no numbers cost their own samples, and leave the others as they are to the last bit."""

import time
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from analytic import Curved, Linear
from torch import Tensor

from equidiff.builtin.laws.conditional import Conditional
from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.auto import Auto
from equidiff.builtin.solvers.infinite import Infinite
from equidiff.builtin.solvers.lbfgs import Lbfgs
from equidiff.contracts import Solver, Step, Stored, StoredJacobian
from equidiff.search.attempt import TimeLimitError
from equidiff.search.batching import Passes
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem

pytestmark = pytest.mark.faults

SOLVERS = [Auto(), Infinite(lr=0.02), Lbfgs()]


class Fragile(Linear):
    """W x, and trouble for samples whose first entry is above a bound."""

    def __init__(self, trouble, bound=1.2) -> None:
        super().__init__(torch.randn(2, 12, generator=torch.Generator().manual_seed(0)))
        self.trouble, self.bound, self.calls = trouble, bound, 0

    def measure(self, samples: Tensor) -> Tensor:
        self.calls += 1
        bad = samples.detach()[:, 0] > self.bound
        measured = super().measure(samples)
        return self.trouble(measured, bad) if bad.any() else measured


def raises(measured, bad):
    raise ValueError("a row that I cannot do")


def exits(measured, bad):
    raise SystemExit(7)


def recurses(measured, bad):
    return recurses(measured, bad)


def hangs(measured, bad):
    while True:
        time.sleep(10)


def hangs_and_hides_it(measured, bad):
    while True:
        with suppress(Exception):
            time.sleep(10)


def run(trouble=None, solver=SOLVERS[0], indices=range(16), batch=8, bound=1.2, **more):
    objective = Fragile(trouble, torch.inf if trouble is None else bound)
    problem = Problem(Curved(12), objective, NoRegularizer(), torch.tensor([0.4, -0.3]))
    events = solve(problem, solver, indices, seed=3, batch=batch, budget=40, tolerance=1e-3, **more)
    return {event.index: event for event in events if isinstance(event, Result)}


def same(one, other):
    return one.status == other.status and torch.equal(one.answer.latents, other.answer.latents)


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (raises, "ValueError: a row that I cannot do"),
        (exits, "SystemExit: 7"),
        (recurses, "RecursionError: maximum recursion depth exceeded"),
    ],
)
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda each: type(each).__name__)
def test_a_row_that_raises_costs_its_own_sample(trouble, text, solver):
    found, untroubled = run(trouble, solver), run(None, solver)
    assert sorted(found) == list(range(16))
    failed = [result for result in found.values() if result.status == "failed"]
    assert all(result.error.startswith(text) for result in failed)
    if isinstance(solver, Auto):  # its candidates are sorted, and those that raise come last
        assert sum(result.status == "member" for result in found.values()) >= 12
        return
    assert 0 < len(failed) < 12
    assert all(same(result, untroubled[index]) for index, result in found.items() if result.status != "failed")


def test_of_candidates_one_that_raises_comes_last():
    class Takes(Solver):
        budget = 99

        def solve(self, latents, residual, budget):
            found = yield from residual.candidates(3)
            for row in range(3):
                yield Step(row, found.rows(row, row + 1))
            yield Step(3, found.rows(0, 1))

    found = run(raises, Takes())
    assert all(result.answer.loss.isfinite() for result in found.values())
    assert {result.status for result in found.values()} == {"not_converged"}


def test_an_error_of_prior_samples_too_is_one_of_the_component():
    class Broken(Fragile):
        def measure(self, samples):
            raise ValueError("bad weights")

    problem = Problem(Curved(12), Broken(None), NoRegularizer(), torch.tensor([0.4, -0.3]))
    with pytest.raises(ValueError, match="bad weights"):
        list(solve(problem, Auto(), range(20), seed=3, batch=8, budget=40, tolerance=1e-3))


@pytest.mark.parametrize("kind", [Stored, StoredJacobian])
def test_a_stored_sample_that_raises_costs_itself_alone(kind):
    """Prior samples are computed in the same way, to see that the component is not at fault."""
    samples = torch.full((1, 12), 2.0)
    request = kind(samples, samples, torch.zeros(1))
    sound = Problem(Curved(12), Fragile(raises), NoRegularizer(), torch.tensor([0.4, -0.3]))
    answer, failures = Passes(8).compute(request, sound)
    assert answer is None
    assert [str(error) for error in failures.values()] == ["a row that I cannot do"]
    with pytest.raises(ValueError, match="a row that I cannot do"):
        Passes(8).compute(request, replace(sound, objective=Fragile(raises, bound=-torch.inf)))


def test_a_component_that_breaks_ends_the_run_and_not_its_samples():
    """As a GPU does after an error of its own: all that follows fails, and is to be done again."""
    problem = Problem(Curved(12), Fragile(raises), NoRegularizer(), torch.tensor([0.4, -0.3]))
    found = []

    def search():
        for event in solve(problem, Infinite(lr=0.02), range(64), seed=3, batch=8, budget=40, tolerance=1e-3):
            if isinstance(event, Result):
                found.append(event)
                if len(found) == 20:
                    problem.objective.bound, problem.objective.trouble = -torch.inf, broken

    with pytest.raises(RuntimeError, match="illegal memory access"):
        search()
    assert 20 <= len(found) <= 27  # those, too, that had their answers already


def broken(measured, bad):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_a_sample_alone_can_fail():
    """The last one of a resumed run, as it does among others."""
    whole = run(raises, SOLVERS[1])
    index = next(index for index, result in whole.items() if result.status == "failed")
    alone = run(raises, SOLVERS[1], [index])
    assert alone[index].error == whole[index].error
    assert alone[index].steps == whole[index].steps


@pytest.mark.parametrize("trouble", [hangs, hangs_and_hides_it])
def test_a_row_that_hangs_costs_its_own_sample(trouble):
    untroubled = run(None, SOLVERS[1])
    found = run(trouble, SOLVERS[1], time_limit=0.05)
    failed = [result for result in found.values() if result.status == "failed"]
    assert 0 < len(failed) < 12
    assert {result.error for result in failed} == {TimeLimitError(0.05).problem}
    assert all(same(result, untroubled[index]) for index, result in found.items() if result.status != "failed")


class NoNumber(torch.autograd.Function):
    """Its argument, whose gradient is no number in some rows."""

    @staticmethod
    def forward(ctx, values, bad, number):
        ctx.save_for_backward(bad)
        ctx.number = number
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        (bad,) = ctx.saved_tensors
        return torch.where(bad[:, None], ctx.number, gradient), None, None


def spoils_value(number):
    return lambda measured, bad: torch.where(bad[:, None], number, measured)


def spoils_slope(number):
    return lambda measured, bad: NoNumber.apply(measured, bad, number)


@pytest.mark.parametrize(
    ("spoils", "number"), [(spoils_value, torch.nan), (spoils_value, -torch.inf), (spoils_slope, torch.nan)]
)
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda each: type(each).__name__)
def test_what_is_no_number_is_no_member(solver, spoils, number):
    found, untroubled = run(spoils(number), solver), run(None, solver)
    assert sorted(found) == list(range(16))
    for result in found.values():
        if result.status == "member":
            assert result.answer.loss < 1e-3
            assert result.answer.samples.isfinite().all()
    equal = sum(result.status != "failed" and same(result, untroubled[index]) for index, result in found.items())
    assert equal >= 4 or isinstance(solver, Auto)


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda each: type(each).__name__)
def test_a_derivative_that_is_no_number_costs_its_own_samples(solver, number):
    """The measurement is finite: only the gradient, or the Jacobian, is not."""
    found, untroubled = run(spoils_slope(number), solver), run(None, solver)
    assert sum(same(result, untroubled[index]) for index, result in found.items()) >= 12
    nowhere = run(spoils_slope(number), solver, bound=-torch.inf)
    assert {result.status for result in nowhere.values()} == {"not_converged"}
    for result in [*found.values(), *nowhere.values()]:
        assert result.answer.latents.isfinite().all()
        assert result.answer.loss.isfinite()


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_law_keeps_to_members_where_the_jacobian_is_no_number(number):
    found = run(spoils_slope(number), law=Conditional(4))
    assert sorted(found) == list(range(16))
    members = [result for result in found.values() if result.status == "member"]
    assert len(members) >= 12
    assert all(result.answer.loss < 1e-3 and result.answer.latents.isfinite().all() for result in members)


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
@pytest.mark.parametrize("solver", SOLVERS[:2], ids=lambda each: type(each).__name__)
def test_a_sample_that_holds_no_number_is_no_member(solver, number):
    """Even where the objective does not look there."""

    class Holes(Curved):
        def generate(self, latents, steps=None):
            made = super().generate(latents)
            hole = torch.zeros_like(made, dtype=torch.bool)
            hole[:, 11] = made.detach()[:, 0] > 0
            return torch.where(hole, number, made)

    weights = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))

    class Blind(Linear):
        def measure(self, samples):
            return super().measure(torch.cat([samples[:, :11], torch.zeros_like(samples[:, 11:])], dim=1))

    problem = Problem(Holes(12), Blind(weights), NoRegularizer(), torch.tensor([0.4, -0.3]))
    events = list(solve(problem, solver, range(16), seed=3, batch=8, budget=40, tolerance=1e-3))
    found = [event for event in events if isinstance(event, Result)]
    assert len(found) == 16
    assert {result.error for result in found if result.status == "failed"} == {"the sample is not finite"}
    members = [result for result in found if result.status == "member"]
    assert members
    assert all(result.answer.samples.isfinite().all() for result in members)
