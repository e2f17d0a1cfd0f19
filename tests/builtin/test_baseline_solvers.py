"""The solvers that others are compared with, each against the same method written out."""

import itertools

import pytest
import torch
from analytic import Curved, Identity, Linear, linear_problem
from running import assert_one_error, run_circles, run_cli
from torch.testing import assert_close

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.callback import drive
from equidiff.builtin.solvers.imagespace import ImageSpace
from equidiff.builtin.solvers.lbfgs import Lbfgs, minimize_on_sphere
from equidiff.builtin.solvers.rejection import Rejection
from equidiff.contracts import Generator
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem


def solved(problem, solver, count=8, budget=300, tolerance=1e-6):
    events = solve(problem, solver, range(count), seed=0, batch=8, budget=budget, tolerance=tolerance)
    return sorted((event for event in events if isinstance(event, Result)), key=lambda result: result.index)


def ask_of(problem):
    return lambda latents: problem.gradient(latents)


@pytest.mark.parametrize(("solver", "tolerance"), [(Lbfgs(), 1e-6), (ImageSpace(), 1e-6), (Rejection(), 0.05)])
def test_they_solve_an_easy_problem(solver, tolerance):
    problem = linear_problem(outputs=1 if isinstance(solver, Rejection) else 4)
    assert all(result.status == "member" for result in solved(problem, solver, tolerance=tolerance))


def test_lbfgs_makes_the_evaluations_that_torch_makes():
    problem = linear_problem(outputs=3)
    start = solved(problem, Lbfgs(), 1, budget=1)[0].answer.latents
    losses = []
    z = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.LBFGS([z], max_iter=200, max_eval=2000, history_size=20, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (problem.objective.measure(problem.generator.generate(z)) - problem.target).square().sum()
        loss.backward()
        losses.append(loss.item())
        return loss

    optimizer.step(closure)
    events = solve(problem, Lbfgs(), [0], seed=0, batch=1, budget=100, tolerance=1e-5)
    seen = [event.loss for event in events if not isinstance(event, Result)]
    assert len(seen) > 3
    assert_close(torch.tensor(seen), torch.tensor(list(itertools.accumulate(losses, min))[: len(seen)]))


def test_lbfgs_on_the_sphere_keeps_the_length_and_finds_the_nearest_value_there():
    """The largest w.x on a sphere of radius |z| is |z| |w|, at z along w: known without search."""
    weights = torch.randn(1, 30)
    problem = Problem(Identity(30), Linear(weights), NoRegularizer(), torch.tensor([1e3]))
    start = torch.randn(1, 30)
    seen = []

    def ask(latents):
        seen.append(latents)
        return problem.gradient(latents)

    minimize_on_sphere(ask, start, patience=50)
    lengths = torch.cat(seen).norm(dim=1)
    assert_close(lengths, start.norm().expand(len(seen)))
    best = max(float(problem.objective.measure(z)) for z in seen)
    assert best == pytest.approx(float(start.norm() * weights.norm()), rel=1e-3)


def test_an_optimizer_in_a_thread_ends_with_its_solver_and_its_error_is_told():
    problem = linear_problem()
    ended = []

    def forever(ask):
        try:
            while True:
                ask(torch.randn(1, 12))
        finally:
            ended.append(True)

    class Residual:
        tolerance = 0.0

        def gradient(self, latents):
            return (yield latents)

    search = drive(forever, Residual(), itertools.count())
    latents = next(search)
    search.send(problem.gradient(latents))  # a step comes back
    search.close()
    assert ended == [True]

    def broken(ask):
        raise ZeroDivisionError("told")

    with pytest.raises(ZeroDivisionError, match="told"):
        next(drive(broken, Residual(), itertools.count()))


def test_an_image_space_move_looks_through_the_objective_only():
    problem = linear_problem(outputs=2, generator=Curved(12))
    result = solved(problem, ImageSpace(), 1)[0]
    assert result.cost.forwards >= result.steps
    share = problem.objective_share
    assert result.cost.backwards == pytest.approx(2 * share * result.cost.forwards)


def test_image_space_moves_need_latents_of_the_samples_shape():
    class Doubled(Generator):
        latent_shape, sample_shape = (6,), (12,)

        def generate(self, latents, steps=None):
            return torch.cat([latents, latents], dim=1)

    result = solved(linear_problem(generator=Doubled()), ImageSpace(), 1)[0]
    assert result.status == "failed"
    assert "shape of its latents" in result.error


def test_what_rejection_keeps_is_an_untouched_draw_from_the_prior():
    """Along the target's direction it is at the target; across it, a standard normal as it was."""
    weights = torch.tensor([[1.0, 0.0]])
    problem = Problem(Identity(2), Linear(weights), NoRegularizer(), torch.tensor([0.5]))
    found = solved(problem, Rejection(), count=400, tolerance=0.01)
    kept = torch.cat([result.answer.latents for result in found if result.status == "member"])
    assert len(kept) == 400
    assert (kept[:, 0] - 0.5).abs().max() < 0.1
    across = kept[:, 1].sort().values.double()
    normal = torch.distributions.Normal(0.0, 1.0).cdf(across)
    distance = (normal - (torch.arange(400) + 0.5) / 400).abs().max()
    assert distance < 1.63 / 20  # Kolmogorov-Smirnov at 1 %


def test_they_are_found_by_name():
    for solver in ("lbfgs", "rejection"):
        assert run_circles("--samples", 2, "-s", solver, "--tolerance", 0.01).code == 0
    assert_one_error(run_cli("run", "-s", "lbfgs,histor=3"), 2, "history")
