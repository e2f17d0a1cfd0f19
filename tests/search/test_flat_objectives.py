"""Objectives that are flat in places give solvers a slope there; who is a member is decided with it."""

import pytest
import torch
from analytic import Identity
from torch import Tensor

import equidiff
from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import Objective
from equidiff.search.problem import Problem


class Unit(Objective):
    """y = relu(x_0 - 4): off almost everywhere under a standard normal."""

    names = ("unit",)
    unit = "activation"

    def measure(self, samples: Tensor) -> Tensor:
        return (samples[:, :1] - 4).relu()


class Helped(Unit):
    """The same, with the pre-activation as the residual where the unit is off."""

    def compare(self, samples: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        measurements = self.measure(samples)
        lack = (samples[:, :1] - 4).clamp(max=0)
        return measurements, self.residual(measurements, target) + lack * (target > 0)


def solve(objective: Objective, target: float) -> equidiff.InvariantSet:
    return equidiff.sample(Identity(30), objective, "none", target=target, samples=4, budget=60, tolerance=1e-3)


def test_a_unit_that_is_off_is_found_only_with_the_slope():
    assert len(solve(Unit(), 0.5)) == 0
    found = solve(Helped(), 0.5)
    assert len(found) == 4
    torch.testing.assert_close(found.measurements, torch.full((4, 1), 0.5), atol=0.04, rtol=0)


def test_the_measurement_stays_the_activation_and_the_gradient_that_of_the_residual():
    problem = Problem(Identity(3), Helped(), NoRegularizer(), torch.tensor([0.5]))
    answer = problem.jacobian(torch.tensor([[1.0, 0.0, 0.0], [5.0, 0.0, 0.0]]))
    assert answer.measurements.tolist() == [[0], [1]]
    assert answer.residuals.tolist() == [[-3.5], [0.5]]
    assert answer.jacobian.tolist() == [[[1, 0, 0]], [[1, 0, 0]]]
    measurements, loss, _ = problem.measure(answer.samples)
    assert measurements.tolist() == [[0], [1]]
    assert loss.tolist() == pytest.approx([3.5**2, 0.25])


def test_members_are_those_of_the_run_and_of_contains():
    """Off, and a target so small that zero is within the tolerance: no member, for either of them."""
    found = solve(Helped(), 0.01)
    samples = torch.zeros(1, 30)
    assert not found.contains(samples).any()
    assert found.contains(found.samples).all()
    assert solve(Helped(), 0.0).contains(samples).all()
