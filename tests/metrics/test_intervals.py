"""Intervals: how often they hold what they are to hold."""

import math

import pytest
import torch
from scipy.stats import t as student

from equidiff.metrics import (
    KernelDistance,
    bootstrap_interval,
    jackknife_interval,
    mean_interval,
    polynomial_kernel,
    resampling_weights,
    share_interval,
)
from equidiff.metrics.diversity import pairwise_interval, pairwise_ratio_interval
from equidiff.metrics.realism import mean_of_pairs


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_weights_count_the_rows_that_were_drawn():
    weights = resampling_weights(5, 4000)
    assert (weights.sum(dim=1) == 5).all()
    assert weights.mean(dim=0).tolist() == pytest.approx([1] * 5, abs=0.05)
    assert weights.var(dim=0).tolist() == pytest.approx([0.8] * 5, abs=0.1)  # binomial: n p (1 - p)


@pytest.mark.parametrize("count", [8, 16, 64])
def test_the_interval_of_a_mean_covers_it_as_often_as_it_says(count):
    """95 % of 400 intervals of normal samples, within what 400 can tell (and the bootstrap is asymptotic)."""
    inside = 0
    for trial in range(400):
        low, high = mean_interval(draw(count, seed=trial), seed=trial)
        inside += low < 0 < high
    assert 0.92 < inside / 400 < 0.98


@pytest.mark.parametrize(("hits", "count"), [(0, 4), (3, 16), (16, 16), (1, 1)])
def test_wilsons_interval_of_a_share_by_its_formula(hits, count):
    z, p = 1.959964, hits / count
    middle = (p + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * math.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    found = share_interval(torch.arange(count) < hits)
    assert found == pytest.approx((middle - reach, middle + reach), abs=1e-6)


def test_the_interval_of_a_mean_is_about_students():
    values = draw(20, seed=3)
    low, high = mean_interval(values)
    reach = student.ppf(0.975, 19) * values.std().item() / math.sqrt(20)
    assert high - low == pytest.approx(2 * reach, rel=0.08)
    assert (low + high) / 2 == pytest.approx(values.mean().item(), abs=0.1 * reach)


def test_the_interval_of_pairs_covers_their_mean():
    """The mean distance of two points of a standard normal plane is sqrt(pi)."""
    inside = sum(
        low < math.sqrt(math.pi) < high
        for low, high in (pairwise_interval(draw(20, 2, seed=trial), trial) for trial in range(200))
    )
    assert 0.89 < inside / 200 <= 0.99


def test_the_interval_of_a_kernel_distance_covers_zero_for_one_distribution():
    trials = 100
    inside = 0
    for trial in range(trials):
        sets = draw(30, 2, seed=trial), draw(60, 2, seed=500 + trial)
        low, high = KernelDistance.of(*sets, polynomial_kernel).interval(trial)
        inside += low < 0 < high
    assert inside / trials >= 0.85


def test_an_excess_cancels_the_reference_that_both_share():
    sets = [draw(20, 2, seed=seed) for seed in range(3)]
    own, prior = (KernelDistance.of(each, sets[2], polynomial_kernel) for each in sets[:2])
    low, high = own.excess_interval(prior)
    assert low < own.value - prior.value < high
    assert own.excess_interval(own)[0] < 0 < own.excess_interval(own)[1]


def test_a_ratio_of_equal_sets_is_about_one():
    low, high = pairwise_ratio_interval(draw(30, 3, seed=1), draw(30, 3, seed=2))
    assert low < 1 < high
    low, high = pairwise_ratio_interval(2 * draw(30, 3, seed=1), draw(30, 3, seed=2))
    assert low < 2 < high


def test_the_jackknife_of_a_mean_is_students_interval():
    """For a mean, leaving out one by one gives the usual standard error exactly."""
    values = draw(12, seed=5)
    low, high = jackknife_interval(lambda rows: values[rows].mean().item(), 12)
    reach = student.ppf(0.975, 11) * values.std().item() / math.sqrt(12)
    assert (low, high) == pytest.approx((values.mean().item() - reach, values.mean().item() + reach))


def test_resamples_that_say_nothing_are_left_out():
    """Of 2 rows, half of the resamples draw one row twice: there is no pair in them."""
    table = torch.tensor([[0.0, 3.0], [3.0, 0.0]], dtype=torch.float64)
    assert bootstrap_interval(lambda weights: mean_of_pairs(table, weights), 2) == (3, 3)
