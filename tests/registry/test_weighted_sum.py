"""Weighted sums of objectives: weights mean what they say."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from equidiff.contracts import Objective
from equidiff.errors import UsageError
from equidiff.registry.weighted_sum import WeightedSum


class Polynomial(Objective):
    """Sums of powers, one for each exponent."""

    def __init__(self, *exponents, unit="activation", name="p"):
        self.exponents = exponents
        self.unit = unit
        self.names = tuple(f"{name}{exponent}" for exponent in exponents)

    def measure(self, samples):
        return torch.stack([samples.flatten(1).pow(exponent).sum(1) for exponent in self.exponents], dim=1)


FIRST, SECOND, THIRD = Polynomial(1), Polynomial(2), Polynomial(3)
weights = st.floats(-8, 8, allow_nan=False)


def weighted(terms):
    return WeightedSum([(float(weight), objective) for weight, objective in terms])


def samples(count=3):
    return torch.rand(count, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_weights_are_not_multiplied_with_each_other():
    # the mistake of STYLE.md 4.11: with weights (1, 3, -5) the first term must not get -15
    x = samples()
    total = weighted([(1, FIRST), (3, SECOND), (-5, THIRD)]).measure(x)
    flat = x.flatten(1)
    by_hand = flat.sum(1) + 3 * flat.square().sum(1) - 5 * (flat * flat * flat).sum(1)
    assert torch.allclose(total[:, 0], by_hand)


@given(st.lists(weights, min_size=3, max_size=3))
def test_the_order_of_terms_does_not_matter(values):
    terms = list(zip(values, (FIRST, SECOND, THIRD), strict=True))
    totals = [weighted(list(order)).measure(samples()) for order in itertools.permutations(terms)]
    assert all(torch.allclose(total, totals[0], atol=1e-10) for total in totals)


@given(weights, weights, weights)
def test_linear_in_the_weights(a, b, factor):
    x = samples()
    one, other = (weighted([(weight, FIRST), (2 * weight, SECOND)]).measure(x) for weight in (a, b))
    mixed = weighted([(a + factor * b, FIRST), (2 * (a + factor * b), SECOND)]).measure(x)
    assert torch.allclose(mixed, one + factor * other, atol=1e-9)


@given(weights, weights, weights)
def test_sums_of_sums(a, b, c):
    x = samples()
    nested = weighted([(a, weighted([(b, FIRST), (1, SECOND)])), (c, THIRD)]).measure(x)
    flat = weighted([(a * b, FIRST), (a, SECOND), (c, THIRD)]).measure(x)
    assert torch.allclose(nested, flat, atol=1e-9)


def test_terms_are_left_as_they_are():
    x = samples()
    before = FIRST.measure(x)
    inner = weighted([(2, FIRST)])
    weighted([(3, inner), (-1, FIRST)]).measure(x)
    assert torch.equal(FIRST.measure(x), before)
    assert torch.equal(inner.measure(x), 2 * before)


def test_gradients_against_finite_differences():
    objective = weighted([(0.5, Polynomial(1, 2)), (-2, Polynomial(2, 3)), (3, Polynomial(3, 1))])
    assert torch.autograd.gradcheck(objective.measure, samples(2).requires_grad_())


def test_every_output_is_summed_with_its_own():
    objective = weighted([(1, Polynomial(1, 2)), (10, Polynomial(2, 3))])
    x = samples().flatten(1)
    expected = torch.stack([x.sum(1) + 10 * x.pow(2).sum(1), x.pow(2).sum(1) + 10 * x.pow(3).sum(1)], dim=1)
    assert torch.allclose(objective.measure(samples()), expected)
    assert objective.names == ("p1 + 10*p2", "p2 + 10*p3")


@pytest.mark.parametrize(
    ("values", "name"),
    [((1, 0.5), "p1 + 0.5*p2"), ((1, -0.5), "p1 - 0.5*p2"), ((-1, 1), "-1*p1 + p2"), ((2, -1), "2*p1 - 1*p2")],
)
def test_names(values, name):
    objective = weighted(list(zip(values, (FIRST, SECOND), strict=True)))
    assert objective.names == (name,)
    assert weighted([(1, objective), (3, objective)]).names == (f"{name} + 3*({name})",)


def test_units():
    assert weighted([(1, FIRST), (1, SECOND)]).unit == "activation"
    assert weighted([(1, FIRST), (1, Polynomial(2, unit="logit"))]).unit == "mixed"


def test_terms_that_do_not_go_together():
    with pytest.raises(UsageError, match="p1: 1, p2: 2"):
        weighted([(1, FIRST), (1, Polynomial(2, 3))])
    with pytest.raises(UsageError, match="no terms"):
        weighted([])
    with pytest.raises(UsageError, match="not finite"):
        weighted([(float("inf"), FIRST)])
