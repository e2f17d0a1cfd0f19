import math

import pytest
import torch
from analytic import Curved, Identity, Linear, linear_problem
from torch.testing import assert_close

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.auto import Auto
from equidiff.builtin.solvers.auto.trust_region import over_relax
from equidiff.builtin.solvers.infinite import Infinite
from equidiff.contracts import Generator, Solver
from equidiff.numerics.gaussian import project_onto_shell
from equidiff.numerics.newton import broyden_update, newton_step
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem


def solved(
    problem: Problem, solver: Solver, count: int = 8, budget: float = 200, tolerance: float = 1e-6
) -> list[Result]:
    events = solve(problem, solver, range(count), seed=0, batch=8, budget=budget, tolerance=tolerance)
    return sorted((event for event in events if isinstance(event, Result)), key=lambda result: result.index)


def start_of(problem: Problem, index: int = 0) -> torch.Tensor:
    """The latent a solver is given, found by stopping one at its start."""
    return solved(problem, Infinite(), index + 1, budget=1)[index].answer.latents


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "shampoo"])
def test_infinite_is_algorithm_1(optimizer):
    """The same loop written out with torch alone, from the same start, ends at the same latent."""
    from pytorch_optimizer import Shampoo

    problem = linear_problem(outputs=2)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "shampoo": Shampoo}
    z = torch.nn.Parameter(start_of(problem)[0].clone())
    optimizer_by_hand = kinds[optimizer]([z], lr=0.2)
    losses = []
    for _ in range(6):
        x = z + z.sin() / 2
        loss = ((problem.objective.weights @ x - problem.target) ** 2).sum()
        losses.append(loss.item())
        optimizer_by_hand.zero_grad()
        loss.backward()
        optimizer_by_hand.step()
    events = solve(problem, Infinite(0.2, optimizer), [0], seed=0, batch=1, budget=6, tolerance=1e-12)
    steps = [event.loss for event in events if not isinstance(event, Result)]
    assert_close(torch.tensor(steps), torch.tensor(losses))


def test_infinite_stops_at_the_tolerance_and_at_the_budget():
    assert all(result.status == "member" for result in solved(linear_problem(), Infinite(lr=0.3)))
    stopped = solved(linear_problem(), Infinite(lr=1e-6), budget=5)
    assert all(result.status == "not_converged" and result.cost.evaluations == 5 for result in stopped)


def test_the_newton_step_is_the_shortest_that_zeroes_the_linearised_residual():
    problem = linear_problem(size=20, outputs=2, generator=Identity(20))
    answer = problem.jacobian(torch.randn(1, 20))
    jacobian = answer.jacobian[0].double()
    expected = torch.linalg.lstsq(jacobian, -answer.residuals[0].double()[:, None]).solution[:, 0]
    assert_close(newton_step(answer.residuals[0], jacobian).double(), expected, rtol=5e-3, atol=1e-3)


@pytest.mark.parametrize(("length", "factor"), [(0.01, 1), (0.5, 1), (0.75, 1.5), (1.25, 2.5), (30, 2.5)])
def test_long_steps_of_a_single_residual_aim_beyond(length, factor):
    direction = torch.nn.functional.normalize(torch.randn(100), dim=0)
    assert_close(over_relax(length * direction, 1), length * factor * direction)
    assert_close(over_relax(length * direction, 2), length * direction)


def test_broydens_correction_explains_the_move_and_changes_nothing_across_it():
    problem = linear_problem(size=20, outputs=3)
    before, after = problem.jacobian(torch.randn(1, 20)), problem.value(torch.randn(1, 20))
    jacobian = before.jacobian[0].double()
    corrected = broyden_update(jacobian, before, after)
    moved = (after.latents - before.latents)[0].double()
    assert_close(corrected @ moved, (after.residuals - before.residuals)[0].double(), rtol=1e-5, atol=1e-6)
    across = torch.randn(20, dtype=torch.float64)
    across -= moved * (across @ moved) / (moved @ moved)
    assert_close(corrected @ across, jacobian @ across)


def test_typical_keeps_the_central_99_percent_of_the_priors_lengths():
    """The bounds against quantiles of many draws."""
    for size in (2, 50, 784):
        lengths = torch.randn(200_000 // max(1, size // 20), size).norm(dim=1)
        low, high = torch.quantile(lengths, torch.tensor([0.005, 0.995])).tolist()
        tiny, huge = project_onto_shell(torch.full((1, size), 1e-3)), project_onto_shell(torch.full((1, size), 1e3))
        assert tiny.norm().item() == pytest.approx(low, abs=0.12 if size == 2 else 0.02 * low)
        assert huge.norm().item() == pytest.approx(high, rel=0.02)
        usual = torch.randn(1, size)
        usual *= math.sqrt(size) / usual.norm()
        assert_close(project_onto_shell(usual), usual)


@pytest.mark.parametrize("outputs", [1, 2, 5, 10])
def test_auto_solves_problems_of_one_and_many_outputs_without_a_learning_rate(outputs):
    for scale in (0.01, 1.0, 100.0):
        problem = linear_problem(size=64, outputs=outputs, generator=Curved(64))
        scaled = Linear(problem.objective.weights * scale)
        problem = Problem(problem.generator, scaled, NoRegularizer(), problem.target * scale)
        found = solved(problem, Auto(), tolerance=1e-6 * scale**2)
        assert all(result.status == "member" for result in found)


def test_auto_stays_typical_and_says_when_a_target_cannot_be_reached():
    problem = linear_problem(size=200, generator=Identity(200), target=40.0)
    for result in solved(problem, Auto(), budget=40):
        assert result.status == "not_converged"
        assert 0.85 < result.answer.latents.norm().item() / math.sqrt(200) < 1.15


def test_auto_starts_again_where_there_is_no_slope():
    """An objective that is flat on half of the plane: a start there cannot move."""

    class Half(Linear):
        def measure(self, samples):
            return super().measure(samples).relu()

    weights = torch.tensor([[1.0, 0.0]])
    problem = Problem(Identity(2), Half(weights), NoRegularizer(), torch.tensor([1.0]))
    found = solved(problem, Auto(pool=1), count=30)
    assert all(result.status == "member" for result in found)


@pytest.mark.parametrize(("outputs", "pool", "looked"), [(2, None, 3), (8, None, 8), (2, 5, 5), (8, 5, 5)])
def test_auto_looks_at_three_prior_samples_for_few_residuals_and_eight_for_many(outputs, pool, looked):
    found = solved(linear_problem(outputs=outputs, target=9.0), Auto(pool), count=16, budget=0.5)
    assert {result.cost.forwards for result in found} == {looked}


class Stepped(Generator):
    """x = z + sin(z) / 2, which fewer than ten steps only approach; notes the steps of each row."""

    steps = 10

    def __init__(self, size):
        self.latent_shape = self.sample_shape = (size,)
        self.seen = []

    def generate(self, latents, steps=None):
        self.seen += [steps] * len(latents)
        count = steps or self.steps
        return latents + latents.sin() / 2 * (1 - 0.5 * (self.steps - count) / self.steps)


def test_a_coarse_search_ends_with_members_of_the_full_sampler():
    generator = Stepped(12)
    problem = linear_problem(outputs=2, generator=generator)
    found = solved(problem, Auto(coarse=4))
    assert all(result.status == "member" for result in found)
    for result in found:
        samples = generator.generate(result.answer.latents)
        assert_close(problem.objective.measure(samples), result.answer.measurements)
        assert (problem.objective.measure(samples) - problem.target).square().sum() < 1e-6
    assert {4, None} == set(generator.seen)


def test_a_coarse_pass_costs_its_share():
    generator = Stepped(12)
    problem = linear_problem(outputs=1, generator=generator)
    found = solved(problem, Auto(pool=4, coarse=4), count=16)
    rows = sum(0.4 if steps == 4 else 1.0 for steps in generator.seen)
    padding = rows - sum(result.cost.forwards for result in found)
    assert padding >= -1e-9  # rows that fill up a pass are no evaluations
    assert sum(result.cost.forwards for result in found) > 0.4 * 4 * 16


def test_a_coarse_answer_is_never_taken_for_a_member():
    """If the budget ends in the coarse search, the judged answer is still one of the full sampler."""
    generator = Stepped(12)
    problem = linear_problem(outputs=2, generator=generator, target=4.0)
    for budget in (0.5, 1, 2, 3, 5, 8):
        for result in solved(problem, Auto(pool=2, coarse=1), budget=budget):
            assert result.status in {"member", "not_converged"}
            samples = Stepped(12).generate(result.answer.latents)
            assert_close(problem.objective.measure(samples), result.answer.measurements)
