"""The last steps of `auto`: among rounded samples, and where a Jacobian or descent gets no further."""

from statistics import mean

import pytest
import torch
from analytic import Identity, Linear
from torch.testing import assert_close

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.builtin.solvers.auto import Auto, rounding
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem
from equidiff.search.residual import SampleResidual

TOLERANCE = 0.05**2


class Grey(Identity):
    """Images around grey, where one grey level is a twenty-fifth of the prior's standard deviation."""

    def generate(self, latents, steps=None):
        return 0.5 + 0.1 * latents


class Steep(Linear):
    """Weights whose sum over the rounding of sixteen pixels is twice the tolerance, or so."""

    def __init__(self):
        super().__init__(100 * torch.nn.functional.normalize(torch.linspace(-1, 1, 16)[None]))


def results(saved=True, count=8):
    problem = Problem(Grey(1, 4, 4), Steep(), NoRegularizer(), torch.zeros(1), saved=saved)
    events = list(solve(problem, Auto(), range(count), seed=0, batch=8, budget=200, tolerance=TOLERANCE))
    return sorted((event for event in events if isinstance(event, Result)), key=lambda result: result.index)


def mean_cost(found):
    assert [result.status for result in found] == ["member"] * len(found)
    return mean(result.cost.evaluations for result in found)


def test_rounding_is_drawn_anew_near_the_target(monkeypatch):
    """The negative control: without it, the same members cost more, for each failure ends in a restart."""
    found = results()
    cost = mean_cost(found)
    for result in found:
        levels = result.answer.samples * 255
        assert_close(levels, levels.round())
        assert float((Steep().measure(result.answer.samples)).square()) < TOLERANCE
    smooth = mean_cost(results(saved=False))
    monkeypatch.setattr(rounding, "NEAR", 0.0)
    assert smooth < cost < mean_cost(results())


def test_samples_that_are_not_rounded_are_left_to_newton_steps(monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr("equidiff.builtin.solvers.auto.newton.search_rounding", never)
    assert mean_cost(results(saved=False)) > 0
    with pytest.raises(AssertionError):
        mean_cost(results())


def test_a_jacobian_is_asked_for_once_at_each_latent(monkeypatch):
    asked = []
    whole = SampleResidual.jacobian

    def noted(self, latents, steps=None):
        asked.append(tuple(latents.flatten().tolist()))
        return whole(self, latents, steps)

    monkeypatch.setattr(SampleResidual, "jacobian", noted)
    monkeypatch.setattr(rounding, "TRIES", 1)  # so that nearly all of them get no further at once
    mean_cost(results())
    assert len(asked) > 8
    assert len(set(asked)) == len(asked)
