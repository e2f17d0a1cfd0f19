"""The steps of `auto` that need no Jacobian of the generator: their estimate, where they land, when they give up."""

from itertools import count

import pytest
import torch
from analytic import Linear
from torch.testing import assert_close

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.auto import Auto, diagonal
from equidiff.builtin.solvers.auto.diagonal import SLOPE_LEFT, estimate_diagonal
from equidiff.contracts import Generator
from equidiff.contracts.requests import Jacobian
from equidiff.numerics.gaussian import project_onto_shell
from equidiff.search import engine
from equidiff.search.engine import MEMBER, Result, StepRecord, solve
from equidiff.search.problem import Problem
from equidiff.search.residual import SampleResidual

SHAPE = (1, 24, 24)
SIZE = 24 * 24
SLOPE = 1.4
WEIGHTS = torch.randn(1, SIZE, generator=torch.Generator().manual_seed(5)) / 24
TARGET = WEIGHTS.sum(dim=1) / 2 + 1.0  # of the samples' middle, and more than any of 48 has


class Pixels(Generator):
    """Each pixel is a sigmoid of its own latent number, so that the Jacobian is `SLOPE x (1 - x)`, diagonal."""

    latent_shape = sample_shape = SHAPE

    def generate(self, latents, steps=None):
        same = self.moved(latents).flatten(1) @ torch.eye(SIZE)  # counted, so that the objective's share is small
        return (SLOPE * same).sigmoid().reshape(-1, *SHAPE)

    def moved(self, latents):
        return latents


class Elsewhere(Pixels):
    """Pixels of the lower half follow numbers in other places."""

    def moved(self, latents):
        return torch.cat([latents[:, :, :12], latents[:, :, 12:].roll((5, 7), dims=(2, 3))], dim=2)


class Unmoved(Pixels):
    """Samples that do not depend on their latents."""

    def moved(self, latents):
        return latents.sin() * 1e-9


def below(weights):
    """Weights of pixels in the lower half alone."""
    return torch.where(torch.arange(SIZE) < SIZE // 2, 0.0, weights)


def problem_of(generator, weights=WEIGHTS):
    return Problem(generator, Linear(weights), NoRegularizer(), TARGET)


def events_of(generator, weights=WEIGHTS, samples=16):
    problem = problem_of(generator, weights)
    return list(solve(problem, Auto(), range(samples), seed=0, batch=8, budget=20, tolerance=0.04**2))


def results_of(events):
    return [event for event in events if isinstance(event, Result)]


@pytest.fixture
def jacobians(monkeypatch):
    """The rows of all Jacobians that were computed."""
    rows = []
    whole = Jacobian.run

    def noted(self, equation):
        rows.append(len(self.latents))
        return whole(self, equation)

    monkeypatch.setattr(Jacobian, "run", noted)
    return rows


def answer_of(generator, number=0):
    latents = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(number))
    return problem_of(generator).value(latents)


def test_the_diagonal_is_that_of_the_jacobian():
    """The second opinion: a product of the exact Jacobian. One sample tells the scale nearly, many the mean."""
    ratios = []
    for number in range(4):
        answer = answer_of(Pixels(), number)
        found = estimate_diagonal(answer).flatten()
        along = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(100 + number))
        _, exact = torch.autograd.functional.jvp(Pixels().generate, answer.latents, along)
        ratio = found * along.flatten() / exact.flatten() / SLOPE_LEFT
        assert_close(ratio, ratio.mean().expand(SIZE))
        ratios.append(ratio.mean())
    assert 0.75 < min(ratios) <= max(ratios) < 1.3
    assert abs(sum(ratios) / 4 - 1) < 0.1


def test_samples_are_solved_without_a_jacobian(jacobians):
    events = events_of(Pixels())
    found = results_of(events)
    assert [result.status for result in found] == [MEMBER] * 16
    assert not jacobians
    assert all(result.cost.backwards < 0.1 for result in found)


def test_a_step_goes_where_the_exact_gradient_points(monkeypatch):
    moves = []
    value = diagonal.project_onto_shell
    monkeypatch.setattr(diagonal, "project_onto_shell", lambda latents: moves.append(latents) or value(latents))
    monkeypatch.setattr(diagonal, "LONGEST", 1.0)  # or it is cut short
    start, problem = answer_of(Pixels()), problem_of(Pixels())
    search = diagonal.search_diagonal(start, SampleResidual(problem, 1e-4, 0, 0), count())
    next(search)
    search.send(problem.judged_jacobian(start.latents, start.samples))
    exact = problem.jacobian(start.latents).jacobian.flatten()
    step = (moves[0] - start.latents).flatten()
    assert_close(step / step.norm(), exact / exact.norm() * -start.residuals[0].sign())
    slope = (estimate_diagonal(start).flatten() * WEIGHTS[0]).norm()
    assert_close(step.norm(), start.residuals[0].abs()[0] / slope, rtol=0.01, atol=0)
    assert_close(project_onto_shell(moves[0]), moves[0])


def test_without_the_estimate_the_same_samples_cost_more(jacobians, monkeypatch):
    """The negative control of the one before."""
    cheap = sum(result.cost.evaluations for result in results_of(events_of(Pixels())))
    monkeypatch.setattr(diagonal, "LEAST_NUMBERS", SIZE + 1)
    dear = results_of(events_of(Pixels()))
    assert jacobians
    assert cheap < 0.75 * sum(result.cost.evaluations for result in dear)


def test_a_wrong_estimate_is_given_up_for_the_jacobian(jacobians):
    """Measured pixels follow numbers elsewhere: along the estimate there is hardly any slope."""
    found = results_of(events_of(Elsewhere(), below(WEIGHTS)))
    assert estimate_diagonal(answer_of(Elsewhere())) is not None
    assert jacobians
    assert [result.status for result in found] == [MEMBER] * 16


def test_a_unit_without_a_slope_asks_for_the_jacobian(jacobians):
    events = events_of(Pixels(), 0 * WEIGHTS, samples=2)
    assert jacobians
    assert not any(result.status == MEMBER for result in results_of(events))
    assert all(event.loss == pytest.approx(float(TARGET) ** 2) for event in events if isinstance(event, StepRecord))


@pytest.mark.parametrize("change", ["shape", "small", "outside", "black and white", "unmoved", "not a number"])
def test_other_samples_have_no_estimate(change):
    answer = answer_of(Unmoved() if change == "unmoved" else Pixels())
    assert estimate_diagonal(answer_of(Pixels())) is not None
    parts = dict(vars(answer))
    if change == "shape":
        parts["latents"] = answer.latents.flatten(1)
    elif change == "small":
        parts |= {name: answer.__dict__[name][:, :, :4, :4] for name in ("latents", "samples")}
    elif change == "outside":
        parts["samples"] = answer.samples * 3 - 1
    elif change == "black and white":
        parts["samples"] = answer.samples.round()
    elif change == "not a number":
        parts["samples"] = answer.samples * torch.nan
    assert estimate_diagonal(engine.Answer(**parts)) is None
