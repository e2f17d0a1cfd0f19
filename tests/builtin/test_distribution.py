"""`classifier,output=distribution`: all probabilities, compared by the Kullback-Leibler divergence."""

import math

import pytest
import torch
from running import assert_one_error, read_lines, read_run, run_cli

from equidiff.builtin.objectives.classifier import build
from equidiff.builtin.objectives.descriptors import ClassifierOptions
from equidiff.builtin.objectives.distribution import NEAR, kl_roots
from equidiff.contracts import BuildContext


def distributions(count, classes, scale, dtype=torch.float64):
    logits = torch.randn(count, classes, generator=torch.Generator().manual_seed(classes), dtype=dtype)
    return (scale * logits).softmax(dim=1)


def divergence(p, q):
    """KL(q || p) as torch has it."""
    return torch.nn.functional.kl_div(p.log(), q.expand_as(p), reduction="none").sum(dim=1)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1, 10, 40])
@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_squared_length_is_the_divergence(classes, scale):
    p, q = distributions(6, classes, scale), distributions(7, classes, scale)[6]
    # of nearly equal distributions torch's sum keeps few digits, whence the absolute tolerance
    torch.testing.assert_close(kl_roots(p, q).square().sum(dim=1), divergence(p, q), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1, 10, 40])
def test_float32_is_as_good_as_its_probabilities(scale):
    p, q = distributions(6, 100, scale), distributions(7, 100, scale)[6]
    single = kl_roots(p.float(), q.float()).square().sum(dim=1).double()
    # what the same numbers, rounded to float32 and its smallest, give when all else is exact
    p, q = (values.float().double().clamp(min=torch.finfo(torch.float32).tiny) for values in (p, q))
    exact = kl_roots(p, q).square().sum(dim=1)
    torch.testing.assert_close(single, exact, rtol=2e-4, atol=0)


def test_each_term_by_its_formula():
    q = torch.tensor([0.3, 1e-6, 0.5], dtype=torch.float64)
    for p in (q * 0.1, q * 0.9, q * 1.1, q * 1.9):
        terms = q * (q / p).log() - q + p
        torch.testing.assert_close(kl_roots(p[None], q)[0], (p - q).sign() * terms.sqrt(), rtol=1e-7, atol=0)


def test_near_the_target_it_is_chi_square():
    q = distributions(1, 10, 1)[0]
    p = q + 1e-7 * torch.linspace(-1, 1, 10, dtype=torch.float64) * q
    torch.testing.assert_close(kl_roots(p[None], q)[0], (p - q) / (2 * q).sqrt(), rtol=1e-6, atol=1e-18)


@pytest.mark.parametrize("scale", [0.01, 1, 20])
def test_gradients_against_finite_differences(scale):
    logits = scale * torch.randn(4, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    q = distributions(1, 10, scale)[0]
    assert torch.autograd.gradcheck(lambda values: kl_roots(values.softmax(dim=1), q), logits.requires_grad_())


def test_branches_meet_and_gradients_are_finite_everywhere():
    q = torch.tensor([0.2], dtype=torch.float64)
    for edge in (-NEAR, 0.0, NEAR):
        p = (q * torch.exp(torch.tensor([edge - 1e-9, edge, edge + 1e-9], dtype=torch.float64)))[:, None]
        p.requires_grad_()
        (slope,) = torch.autograd.grad(kl_roots(p, q).sum(), p)
        steps = kl_roots(p, q).diff(dim=0) / p.diff(dim=0)
        torch.testing.assert_close(steps, (slope[1:] + slope[:-1]) / 2, rtol=1e-5, atol=0)
    extremes = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1e-30, 1.0], [0.5, 0.5]], requires_grad=True)
    for target in ([0.0, 1.0], [1.0, 0.0], [0.5, 0.5]):
        roots = kl_roots(extremes, torch.tensor(target))
        (slope,) = torch.autograd.grad(roots.sum(), extremes)
        assert roots.isfinite().all()
        assert slope.isfinite().all()


def test_the_objective_measures_probabilities():
    objective = build(None, ClassifierOptions(model="fashion", output="distribution"), BuildContext())
    plain = build(None, ClassifierOptions(model="fashion", output="probability"), BuildContext())
    samples = torch.rand(5, 1, 28, 28)
    values = objective.measure(samples)
    assert torch.equal(values, plain.measure(samples))
    assert (objective.names, objective.unit) == (plain.names, "probability")
    by_hand = [
        sum(q * math.log(q / p) for p, q in zip(row, values[0].tolist(), strict=True)) for row in values.tolist()
    ]
    assert objective.discrepancy(values, values[0]).tolist() == pytest.approx(by_hand, rel=1e-3, abs=1e-6)


def test_one_logit_is_a_distribution_over_two_classes():
    objective = build(None, ClassifierOptions(model="circles", output="distribution"), BuildContext())
    values = objective.measure(torch.randn(6, 2))
    assert objective.names == ("outer", "inner")
    torch.testing.assert_close(
        objective.discrepancy(values, values[0]), divergence(values, values[0]), atol=1e-6, rtol=0
    )


def test_a_run_keeps_the_distribution(tmp_path):
    outcome = run_cli(
        "run", "-g", "toy:circles", "-o", "classifier,output=distribution", "--query", "1", "-n", "4",
        "--tolerance", "1e-4", "--out", tmp_path / "run",
    )  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    q = torch.tensor(read_run(outcome.path)["target"]["values"])
    for line in read_lines(outcome.path / "members.jsonl"):
        p = torch.tensor([line["measurement"]])
        assert divergence(p, q).item() < 1e-4
        assert line["loss"] == pytest.approx(divergence(p, q).item(), abs=1e-6)


def test_the_distribution_of_one_class_is_refused():
    outcome = run_cli("run", "-o", "classifier:bag,output=distribution")
    assert_one_error(outcome, 2, "covers all classes", "classifier,output=distribution")
