import itertools

import pytest
import torch
from analytic import Counts, Identity, Linear, linear_problem
from torch.testing import assert_close

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.auto import Auto
from equidiff.builtin.solvers.infinite import Infinite
from equidiff.contracts import Solver, Step
from equidiff.search.candidate_pool import CandidatePool
from equidiff.search.engine import Result, StepRecord, solve
from equidiff.search.problem import Problem


def results(problem, solver, indices, batch=4, budget=400, tolerance=1e-6, seed=3):
    events = solve(problem, solver, indices, seed=seed, batch=batch, budget=budget, tolerance=tolerance)
    return {event.index: event for event in events if isinstance(event, Result)}


class Waits(Solver):
    """Does nothing but evaluate: sample i as often as its start latent's first entry says."""

    budget = 1000

    def solve(self, latents, residual, budget):
        rounds = 1 + int(latents[0, 0].abs() * 10)
        for number in range(rounds):
            answer = yield from residual.value(latents)
            yield Step(number, answer)


@pytest.mark.parametrize("solver", [Auto(), Infinite(lr=0.3), Infinite(lr=0.1, optimizer="adam")])
def test_a_sample_depends_on_seed_and_index_alone(solver):
    problem = linear_problem(outputs=2)
    together = results(problem, solver, range(9), batch=9)
    narrow = results(problem, solver, range(9), batch=2)
    alone = results(problem, solver, [7], batch=1)
    for index in range(9):
        assert_close(together[index].answer.latents, narrow[index].answer.latents, atol=1e-4, rtol=0)
    assert_close(together[7].answer.latents, alone[7].answer.latents, atol=1e-4, rtol=0)
    assert together[7].status == alone[7].status == "member"


def test_another_seed_or_index_gives_another_sample():
    problem = linear_problem()
    first, other = results(problem, Auto(), [0, 1]), results(problem, Auto(), [0], seed=4)
    assert not torch.allclose(first[0].answer.latents, first[1].answer.latents)
    assert not torch.allclose(first[0].answer.latents, other[0].answer.latents)


def test_waiting_samples_take_the_places_of_finished_ones():
    generator = Counts(2)
    problem = Problem(generator, Linear(torch.ones(1, 2)), NoRegularizer(), torch.zeros(1))
    found = results(problem, Waits(), range(20), batch=4)
    assert len(found) == 20
    passes = sum(result.cost.forwards for result in found.values())
    assert sum(generator.rows) == passes
    assert max(generator.rows) == 4
    # full until no sample waits any more; then the last four run out one by one
    last_full = len(generator.rows) - 1 - generator.rows[::-1].index(4)
    assert all(rows == 4 for rows in generator.rows[: last_full + 1])
    longest = max(result.cost.forwards for result in found.values())
    assert len(generator.rows) <= passes / 4 + longest


def test_every_pass_is_counted():
    class Mixed(Waits):
        def solve(self, latents, residual, budget):
            yield from residual.value(latents.repeat(5, 1))
            yield from residual.gradient(latents)
            answer = yield from residual.jacobian(latents)
            yield Step(0, answer)

    cost = results(linear_problem(outputs=3), Mixed(), [0])[0].cost
    assert (cost.forwards, cost.backwards) == (5 + 1 + 1, 1 + 3)
    assert cost.evaluations == pytest.approx((7 + 2 * 4) / 3)


def test_requests_larger_than_the_batch_are_split_and_put_together_again():
    class Pool(Waits):
        def solve(self, latents, residual, budget):
            many = residual.draw(11)
            answer = yield from residual.value(many)
            assert torch.equal(answer.latents, many)
            yield Step(0, answer.rows(10, 11))

    generator = Counts(12)
    result = results(linear_problem(generator=generator), Pool(), [0], batch=5)[0]
    assert generator.rows == [4, 4, 3]
    assert result.status == "not_converged"


def test_the_budget_ends_a_solver_that_does_not_stop():
    class Endless(Waits):
        def solve(self, latents, residual, budget):
            for number in itertools.count():
                answer = yield from residual.gradient(latents)
                yield Step(number, answer)

    result = results(linear_problem(), Endless(), [0], budget=7)[0]
    assert result.status == "not_converged"
    assert result.cost.evaluations == 7


def test_one_sample_that_fails_does_not_end_the_others():
    class Fragile(Waits):
        def solve(self, latents, residual, budget):
            if latents[0, 0] > 0:
                raise RuntimeError("no luck")
            yield from super().solve(latents, residual, budget)

    found = results(linear_problem(), Fragile(), range(12))
    failed = [result for result in found.values() if result.status == "failed"]
    assert 0 < len(failed) < 12
    assert all(result.error == "RuntimeError: no luck" and result.answer is None for result in failed)


def test_a_loss_that_is_not_finite_is_a_failure_never_a_member():
    result = results(linear_problem(), Infinite(lr=1e30), [0])[0]
    assert result.status == "failed"
    assert result.error == "the loss is not finite"


def test_trouble_in_a_component_ends_the_run():
    class Broken(Identity):
        def generate(self, latents, steps=None):
            raise ValueError("bad weights")

    with pytest.raises(ValueError, match="bad weights"):
        results(linear_problem(generator=Broken(12)), Auto(), range(3))


def test_steps_come_in_order_with_growing_cost():
    events = list(solve(linear_problem(), Infinite(lr=0.3), [0], seed=0, batch=1, budget=50, tolerance=1e-6))
    steps = [event for event in events if isinstance(event, StepRecord)]
    assert [step.step for step in steps] == list(range(len(steps)))
    assert [step.evaluations for step in steps] == [number + 1 for number in range(len(steps))]
    assert isinstance(events[-1], Result)
    assert events[-1].steps == steps[-1].step


class TakesCandidates(Waits):
    """Asks for a pool and stands on its best plain sample."""

    def solve(self, latents, residual, budget):
        found = yield from residual.candidates(3)
        yield Step(0, found.rows(0, 1))
        yield Step(1, found.rows(1, 2))
        again = yield from residual.candidates(3)
        yield Step(2, again.rows(0, 1))


def test_a_pool_is_sorted_and_shared_out_back_and_forth():
    generator = Counts(12)
    problem = linear_problem(generator=generator)
    events = list(solve(problem, TakesCandidates(), range(16), seed=1, batch=16, budget=99, tolerance=1e-9))
    losses = {(event.index, event.step): event.loss for event in events if isinstance(event, StepRecord)}
    shared = [losses[index, row] for row, order in ((0, range(16)), (1, range(15, -1, -1))) for index in order]
    assert shared == sorted(shared)
    assert losses[0, 0] != losses[0, 2]  # the second pool is a new one
    costs = [event.cost.forwards for event in events if isinstance(event, Result)]
    assert sum(costs) == sum(generator.rows) == 2 * 16 * 3


def test_a_sample_alone_gets_the_hand_it_gets_among_others():
    together = results(linear_problem(), TakesCandidates(), range(40), batch=5)
    alone = results(linear_problem(), TakesCandidates(), [23], batch=64)
    assert_close(together[23].answer.latents, alone[23].answer.latents)
    assert alone[23].cost.forwards == 2 * 16 * 3  # nobody to share the pool with


def test_pools_are_forgotten_with_their_last_taker(monkeypatch):
    """At any time there are the pools of the blocks under way, whatever was searched before them."""
    kept, pools = [], []

    class Watched(CandidatePool):
        def __init__(self, *args):
            super().__init__(*args)
            pools.append(self)

    class TakesUnevenly(Waits):
        def solve(self, latents, residual, budget):
            for number in range(int(latents[0, 0].abs() * 2)):  # some never take any
                found = yield from residual.candidates(3)
                yield Step(number, found.rows(0, 1))
                kept.append(len(pools[0]._pools))

    monkeypatch.setattr("equidiff.search.engine.CandidatePool", Watched)
    results(linear_problem(), TakesUnevenly(), range(200), batch=5)
    assert pools[0]._pools == {}
    assert len(kept) > 100
    rounds = 6  # of one block, and of the next, which begins before it ends
    assert 0 < max(kept) <= 2 * rounds < 200 // 16 * 2


def test_the_budget_does_not_depend_on_the_neighbours():
    """The last move but one must fit the budget alone as it does among sixteen."""

    class Frugal(Waits):
        def solve(self, latents, residual, budget):
            found = yield from residual.candidates(3)
            for number in itertools.count():
                answer = yield from residual.gradient(found.latents[:1] + number)
                yield Step(number, answer)

    together = results(linear_problem(), Frugal(), range(16), budget=9)
    alone = results(linear_problem(), Frugal(), [7], budget=9)
    assert together[7].steps == alone[7].steps == 7
    assert alone[7].cost.evaluations > together[7].cost.evaluations


@pytest.mark.parametrize(("batch", "size"), [(1, 1), (4, 4), (6, 4), (16, 16), (40, 16)])
def test_passes_have_one_size(batch, size):
    generator = Counts(12)
    found = results(linear_problem(generator=generator), Waits(), range(7), batch=batch)
    assert set(generator.sizes) == {size}
    assert all(result.answer.latents.shape == (1, 12) for result in found.values())
