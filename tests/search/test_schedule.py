"""Requests wait until they fill a pass; where none does, the pass comes next that wastes least."""

import torch
from analytic import Counts, Linear, linear_problem

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import Gradient, Jacobian, Solver, Step, Value
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem
from equidiff.search.schedule import HELD, MOST_BYTES, most_under_way, next_pass


def group(kind, rows, each=1):
    return [(f"{kind.__name__}{number}", kind(torch.zeros(each, 12))) for number in range(rows)]


def chosen(*groups, rows=4):
    return [task for task, _ in next_pass(groups, rows, linear_problem())]


def test_a_full_pass_comes_first():
    assert chosen(group(Value, 3), group(Gradient, 5)) == [f"Gradient{number}" for number in range(4)]
    assert chosen(group(Value, 9), group(Jacobian, 2)) == [f"Value{number}" for number in range(4)]
    # of requests with several rows, those that fill passes together
    assert chosen(group(Value, 5, each=6)) == ["Value0", "Value1"]


def test_where_none_is_full_the_least_is_wasted():
    assert chosen(group(Value, 3), group(Jacobian, 3)) == [f"Value{number}" for number in range(3)]
    assert chosen(group(Value, 1), group(Jacobian, 3)) == ["Jacobian0", "Jacobian1", "Jacobian2"]
    assert chosen(group(Gradient, 1), group(Value, 1)) == ["Value0"]


def test_samples_under_way_are_bounded_by_memory():
    assert most_under_way(linear_problem(), 16) == 64
    large = Counts(1)
    large.latent_shape, large.sample_shape = (4, 64, 64), (3, 256, 256)
    problem = Problem(large, Linear(torch.ones(1, 1)), NoRegularizer(), torch.zeros(1))
    many = most_under_way(problem, 128)
    assert 128 < many < 4 * 128
    assert many * HELD * 4 * (3 * 256**2 + 4 * 64**2) <= MOST_BYTES
    assert most_under_way(problem, 999) == 999  # those of a pass, however large


class Mixed(Solver):
    """Asks for values and gradients, as many as the number of its sample says."""

    budget = 1000

    def solve(self, latents, residual, budget):
        for number in range(1 + int(1000 * latents[0, 0].abs()) % 7):
            ask = residual.gradient if int(1000 * latents[0, 1].abs() * (number + 1)) % 3 == 0 else residual.value
            yield Step(number, (yield from ask(latents)))


def test_passes_are_full_until_the_last_samples_are_left():
    generator = Counts(12)
    problem = linear_problem(generator=generator)
    events = solve(problem, Mixed(), range(64), seed=1, batch=4, budget=99, tolerance=1e-9)
    found = [event for event in events if isinstance(event, Result)]
    assert len(found) == 64
    assert {result.cost.backwards > 0 for result in found} == {True, False}
    assert all(rows == 4 for rows in generator.rows[:-6])
    assert sum(generator.rows) == sum(result.cost.forwards for result in found)
