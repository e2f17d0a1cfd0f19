"""Searches among a sampler's intermediate states: their cost, the memory that they leave alone, their ends."""

import math
from types import SimpleNamespace

import pytest
import torch
from analytic import Curved, Linear, Penalised, Staged, linear_problem
from torch.testing import assert_close
from torchdiffeq import odeint

from equidiff.builtin.generators.fashion import FashionFlow, load_fashion_flow
from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.auto import Auto
from equidiff.contracts import (
    BuildContext,
    Gradient,
    Jacobian,
    Regularizer,
    ResidualFunction,
    Solver,
    Step,
    TailResidual,
)
from equidiff.numerics.flow import integrate_back, reencode_flow
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem
from equidiff.testing.generator import check_generator

SIZE = 40


def solved(problem, solver=None, count=8, budget=100, tolerance=1e-6):
    events = solve(problem, solver or Auto(), range(count), seed=0, batch=8, budget=budget, tolerance=tolerance)
    return sorted((event for event in events if isinstance(event, Result)), key=lambda result: result.index)


def staged_problem(outputs=8, target=1.0, **how):
    return linear_problem(SIZE, outputs, Staged(SIZE, **how), target)


@pytest.fixture(scope="module")
def fashion():
    return load_fashion_flow(BuildContext(), None, recompute=False)


def test_the_parts_of_the_fashion_flow_make_its_whole(fashion):
    z = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(2), requires_grad=True)
    sampler = fashion.split_sampler()
    assert sampler is not None
    whole, parts = fashion.generate(z), sampler.finish(sampler.begin(z))
    assert torch.equal(whole, parts)
    slopes = [torch.autograd.grad(each.square().sum(), z)[0] for each in (whole, parts)]
    assert_close(*slopes)


def test_one_step_cannot_be_split(fashion):
    assert FashionFlow(fashion.flow, steps=1).split_sampler() is None
    assert FashionFlow(fashion.flow, steps=2).split_sampler() is not None
    assert Curved(3).split_sampler() is None


def test_integrating_back_is_of_second_order():
    def slope(state, time):
        return torch.sin(state) * (1 + time)

    start = torch.linspace(-2, 2, 9).double()[None]
    times = torch.tensor([0.6, 0.0]).double()
    exact = odeint(lambda t, x: slope(x, t), start, times, method="dopri5", rtol=1e-10, atol=1e-12)[-1]
    errors = [float((integrate_back(slope, start, 0.6, steps) - exact).abs().max()) for steps in (8, 16)]
    assert errors[0] < 0.02
    assert errors[1] < 0.3 * errors[0]


def test_reencoding_a_linear_flow_undoes_it():
    """Of `dx/dt = a x` what leads to a move is `exp(-a t)` times as long, whatever the sampler made of z."""
    a, t = 0.8, 0.6
    z = torch.randn(2, 5).double()
    state = z * (1 + a * t / 4) ** 4  # four of Euler's steps
    moved = state + 0.3
    found = reencode_flow(lambda x, _: a * x, z, state, moved, t)
    assert_close(found - z, torch.full_like(z, 0.3 * math.exp(-a * t)), rtol=3e-3, atol=0)
    assert torch.equal(reencode_flow(lambda x, _: a * x, z, state, state, t), z)


@pytest.mark.parametrize(("outputs", "target"), [(1, 4.0), (3, 2.5), (8, 1.5)])
def test_members_are_the_samples_of_their_latents(outputs, target):
    problem = staged_problem(outputs, target=target)
    found = solved(problem)
    assert problem.generator.finished, "no intermediate state was searched"
    for result in found:
        assert result.status == "member"
        samples = problem.generator.generate(result.answer.latents)
        assert_close(problem.objective.measure(samples), result.answer.measurements)
        assert float((problem.objective.measure(samples) - problem.target).square().sum()) < 1e-6


def test_latents_keep_the_length_that_the_prior_gave_them():
    class Starts(Auto):
        """Notes where searches begin."""

        def search(self, here, residual, numbers):
            starts.append(float(here.latents.norm()))
            return super().search(here, residual, numbers)

    starts = []
    lengths = [float(result.answer.latents.norm()) for result in solved(staged_problem(), Starts())]
    assert all(any(abs(length - start) < 1e-4 for start in starts) for length in lengths)


class Bare(ResidualFunction):
    """Passes requests on, and draws nothing."""

    tolerance, size = 0.1, 8

    def draw(self, count):
        raise NotImplementedError


def test_what_the_sampler_remembers_is_left_alone():
    generator = Staged(SIZE)
    problem = linear_problem(SIZE, 8, generator)
    latents = torch.randn(1, SIZE)
    begun = problem.split(latents)
    tail = TailResidual(Bare(), 1e-8)
    state = begun.states.clone().requires_grad_()
    loss = (problem.objective.measure(generator.finish(state)) - problem.target).square().sum()
    (expected,) = torch.autograd.grad(loss, state)
    for kind, request in (("gradient", Gradient), ("jacobian", Jacobian)):
        coroutine = getattr(tail, kind)(begun.states)
        asked = next(coroutine)
        assert asked == request(begun.states, tail=True)
        with pytest.raises(StopIteration) as ended:
            coroutine.send(asked.run(problem))
        slope = getattr(ended.value.value, kind).reshape(-1, 2, SIZE)
        assert bool((slope[:, 1] == 0).all())
        if kind == "gradient":
            assert_close(slope[0, 0], expected[0, 0])
    assert bool((expected[:, 1] != 0).any())


class Twice(Solver):
    """Looks at gradient, Jacobian and value of an intermediate state, and re-encodes one near it."""

    budget = 100

    def solve(self, latents, residual, budget):
        assert residual.splittable
        here = yield from residual.split(latents)
        tail = TailResidual(residual, 1e-9)
        yield from tail.gradient(here.states)
        yield from tail.jacobian(here.states)
        yield from tail.value(here.states)
        there = yield from residual.reencode(here, here.states + 0.01)
        yield Step(0, there)


def test_passes_cost_their_share():
    """Of the matrix products in a pass, counted by hand: four of the stages, one of the objective."""
    outputs, sweeps = 5, 2
    problem = staged_problem(outputs, sweeps=sweeps)
    stage, look = SIZE * SIZE, outputs * SIZE
    whole = 4 * stage + look
    finish, reencode = (stage + look) / whole, 2 * 3 * sweeps * stage / whole
    assert (problem.tail_share, problem.reencode_share) == pytest.approx((finish, reencode))
    (result,) = solved(problem, Twice(), count=1)
    assert result.cost.forwards == pytest.approx(1 + 3 * finish + 1 + reencode)
    assert result.cost.backwards == pytest.approx((1 + outputs) * finish)


def test_a_reencoded_state_is_nearly_reached():
    problem = staged_problem()
    latents = torch.randn(4, SIZE)
    begun = problem.split(latents)
    towards = problem.split(latents + 0.1 * torch.randn(4, SIZE)).states
    moved = torch.stack([towards[:, 0], begun.states[:, 1]], dim=1)
    found = problem.reencode(latents, begun.states, moved)
    assert_close(found.latents.norm(dim=1), latents.norm(dim=1))
    left = (found.states - moved)[:, 0].norm(dim=1) / (begun.states - moved)[:, 0].norm(dim=1)
    assert bool((left < 0.7).all())  # the length was kept, which the move did not
    assert_close(found.samples, problem.generator.generate(found.latents))


def test_a_penalty_on_latents_keeps_the_search_off_intermediate_states():
    class OnLatents(Regularizer):
        def penalty(self, samples, latents):
            return latents.square().sum(dim=1)

    generator, objective, target = Staged(SIZE), Linear(torch.eye(SIZE)[:8]), torch.ones(8)
    assert Problem(generator, objective, OnLatents(), target).tail is None
    assert Problem(generator, objective, Penalised(0.1), target).tail is not None
    assert Problem(Curved(SIZE), objective, NoRegularizer(), target).tail is None


@pytest.mark.parametrize(
    ("residuals", "split", "said"),
    [
        (1, False, "Newton steps"),
        (1, True, "Newton steps, of intermediate states where the target is far"),
        (8, False, "L-BFGS"),
        (8, True, "L-BFGS on intermediate states"),
    ],
)
def test_the_method_is_described(residuals, split, said):
    equation = SimpleNamespace(size=residuals, tail=object() if split else None)
    assert Auto().describe(equation) == said


def test_a_split_sampler_keeps_the_contract():
    check_generator(Staged(6))


def test_ten_logits_are_met_at_a_typical_length(fashion):
    """A search through the whole sampler takes about three times as much, and fails on a third of such targets."""
    context = BuildContext(generator=fashion)
    objective = build(Plugins(), "objective", "classifier", context).component
    wanted = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        target = objective.measure(fashion.generate(wanted))[0]
    problem = Problem(fashion, objective, NoRegularizer(), target)
    found = solved(problem, count=2, budget=40, tolerance=0.1)
    assert [result.status for result in found] == ["member"] * 2
    lengths = torch.tensor([float(result.answer.latents.norm()) / 28 for result in found])
    assert bool(((lengths > 0.93) & (lengths < 1.07)).all())
