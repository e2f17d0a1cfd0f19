import pytest
import torch
from analytic import Curved, Halved, Linear, Penalised
from torch.testing import assert_close

from equidiff.builtin.solvers.auto import Auto
from equidiff.builtin.solvers.infinite import Infinite
from equidiff.builtin.solvers.lbfgs import Lbfgs
from equidiff.contracts import Regularizer, Value
from equidiff.search.batching import Passes
from equidiff.search.engine import Result, solve
from equidiff.search.problem import Problem

W = torch.tensor([[0.5, -1.0, 0.25], [1.0, 0.0, 2.0]])
TARGET = torch.tensor([0.3, -0.2])


def problem(penalty: float = 0.0, weight: float = 1.0) -> Problem:
    return Problem(Curved(3), Linear(W), Penalised(penalty) if penalty else Halved(), TARGET, weight)


def by_hand(z: torch.Tensor, penalty: float = 0.0, weight: float = 1.0) -> torch.Tensor:
    """The loss of one latent, written out."""
    x = z + z.sin() / 2
    whole, half = W.to(z) @ x - TARGET.to(z), W.to(z) @ (x / 2) - TARGET.to(z)
    return weight * ((whole**2).sum() + (half**2).sum() + penalty * x[0] ** 2)


def test_the_loss_counts_the_sample_and_each_view():
    z = torch.randn(4, 3)
    answer = problem(weight=3.0).value(z)
    assert_close(answer.loss, torch.stack([by_hand(row, weight=3.0) for row in z]))
    assert_close(answer.loss, answer.loss_unfiltered + answer.loss_filtered)
    assert answer.residuals.shape == (4, 4)


def test_a_penalty_adds_to_the_loss_and_one_residual():
    z = torch.randn(4, 3)
    answer = problem(penalty=0.7).value(z)
    assert_close(answer.loss, torch.stack([by_hand(row, penalty=0.7) for row in z]))
    assert answer.residuals.shape == (4, 5)
    assert_close(answer.residuals.square().sum(dim=1), answer.loss)


def test_the_gradient_is_that_of_finite_differences():
    z = torch.randn(2, 3)
    gradient = problem(penalty=0.7).gradient(z).gradient
    for row, found in zip(z.double(), gradient, strict=True):
        for entry in range(3):
            step = torch.zeros(3, dtype=torch.float64)
            step[entry] = 1e-5
            slope = (by_hand(row + step, 0.7) - by_hand(row - step, 0.7)) / 2e-5
            assert abs(slope.item() - found[entry].item()) < 1e-3


def test_the_jacobian_and_the_residuals_give_the_gradient():
    z = torch.randn(5, 3)
    answer = problem(penalty=0.7).jacobian(z)
    expected = 2 * torch.einsum("br,brd->bd", answer.residuals, answer.jacobian)
    assert_close(expected, problem(penalty=0.7).gradient(z).gradient)


def test_answers_carry_no_graph():
    answer = problem().jacobian(torch.randn(2, 3))
    assert not any(value.requires_grad for value in vars(answer).values() if isinstance(value, torch.Tensor))


def test_measuring_samples_gives_the_same_losses_as_solving():
    z = torch.randn(4, 3)
    answer = problem().value(z)
    measurements, unfiltered, filtered = problem().measure(answer.samples)
    assert_close(measurements, answer.measurements)
    assert_close(unfiltered, answer.loss_unfiltered)
    assert_close(filtered, answer.loss_filtered)


def test_the_sample_jacobian_and_the_generators_make_the_jacobian():
    """The chain rule, where there is no penalty on the latents themselves."""
    z = torch.randn(2, 3)
    answer, whole = problem().sample_jacobian(z), problem().jacobian(z)
    inner = torch.stack(
        [torch.autograd.functional.jacobian(lambda x: problem().generator.generate(x[None])[0], row) for row in z]
    )
    assert_close(torch.einsum("brs,bsd->brd", answer.sample_jacobian, inner), whole.jacobian)
    assert_close(answer.residuals, whole.residuals)


def test_a_sample_that_was_made_before_has_the_same_jacobian():
    z = torch.randn(2, 3)
    made = problem().sample_jacobian(z)
    again = problem().judged_jacobian(z, made.samples)
    assert_close(vars(again), vars(made))


class Hinge(Regularizer):
    """A penalty that is zero in half of the space, of the sample or of the latent."""

    def __init__(self, of_latents: bool = False) -> None:
        self.of_latents = of_latents

    def penalty(self, samples, latents):
        return (latents if self.of_latents else samples)[:, 0].clamp(min=0).square()


def test_there_are_as_many_residuals_where_the_penalty_is_zero():
    """For each kind of answer, so that passes of one row, with and without a penalty, can be put together."""
    this = Problem(Curved(3), Linear(W), Hinge(), TARGET)
    z = torch.tensor([[-1.0, 0.5, 0.2], [1.0, 0.5, 0.2]])
    assert this.size == 3
    for row in z.split(1):
        answers = (this.value(row), this.gradient(row), this.jacobian(row), this.sample_jacobian(row))
        assert [each.residuals.shape for each in answers] == [(1, 3)] * 4
    parts, _ = Passes(1).compute(Value(z), this)
    assert_close(parts.residuals, this.value(z).residuals)
    inside = this.jacobian(z[:1])
    assert inside.residuals[0, 2].item() == pytest.approx(0, abs=2e-6)
    assert inside.jacobian[0, 2].tolist() == [0, 0, 0]
    assert_close(inside.loss, inside.loss_unfiltered)


@pytest.mark.parametrize("solver", [Auto(), Infinite(0.1, "adam"), Lbfgs()])
def test_solvers_take_a_penalty_that_comes_and_goes(solver):
    this = Problem(Curved(3), Linear(W), Hinge(), TARGET)
    found = list(solve(this, solver, range(6), seed=0, batch=4, budget=300, tolerance=1e-4))
    results = [each for each in found if isinstance(each, Result)]
    assert [each.status for each in results] == ["member"] * 6
    for each in results:
        x = each.answer.samples[0]
        loss = (W @ x - TARGET).square().sum() + x[0].clamp(min=0).square()
        assert each.answer.loss.item() == pytest.approx(loss.item(), abs=1e-6)
        assert loss < 1e-4


def test_given_samples_are_judged_by_their_penalty_but_not_by_one_of_latents():
    samples = torch.tensor([[-1.0, 0.5, 0.2], [2.0, 0.5, 0.2]])
    plain = (samples @ W.T - TARGET).square().sum(dim=1)
    for of_latents, expected in ((False, plain + torch.tensor([0.0, 4.0])), (True, plain)):
        measurements, loss = Problem(Curved(3), Linear(W), Hinge(of_latents), TARGET).judge(samples)
        assert_close(measurements, samples @ W.T)
        assert_close(loss, expected)
