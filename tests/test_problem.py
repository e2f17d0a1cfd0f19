import pytest
import torch
from analytic import Curved, Halved, Linear
from torch.testing import assert_close

from equidiff.problem import Problem

W = torch.tensor([[0.5, -1.0, 0.25], [1.0, 0.0, 2.0]])
TARGET = torch.tensor([0.3, -0.2])


def problem(penalty: float = 0.0, weight: float = 1.0) -> Problem:
    return Problem(Curved(3), Linear(W), Halved(penalty), TARGET, weight)


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


def test_the_sensitivity_and_the_generators_jacobian_make_the_jacobian():
    """The chain rule, where there is no penalty on the latents themselves."""
    z = torch.randn(2, 3)
    answer, whole = problem().sensitivity(z), problem().jacobian(z)
    inner = torch.stack(
        [torch.autograd.functional.jacobian(lambda x: problem().generator.generate(x[None])[0], row) for row in z]
    )
    assert_close(torch.einsum("brs,bsd->brd", answer.sensitivity, inner), whole.jacobian)
    assert_close(answer.residuals, whole.residuals)


@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_a_pull_is_the_gradient_of_the_weighted_residuals(penalty):
    z = torch.randn(2, 3)
    this = problem(penalty=penalty)
    seen = []

    def weigh(residuals, sensitivity):
        seen.append((residuals, sensitivity))
        return 2 * residuals

    answer = this.pull(z, [weigh, weigh])
    assert_close(answer.gradient, this.gradient(z).gradient)
    assert_close(torch.stack([residuals for residuals, _ in seen]), this.value(z).residuals)
    assert_close(torch.stack([each for _, each in seen]), this.sensitivity(z).sensitivity)
    assert_close(answer.weights, 2 * answer.residuals)
