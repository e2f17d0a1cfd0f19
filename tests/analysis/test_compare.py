"""The numbers by which methods are compared, against slow reference implementations."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from small_networks import SAMPLES, SHAPE, WEIGHTS, Asks, linear_network, small_network

from equidiff.analysis.compare.agreement import agreement, importance, overlaps, rank_correlations
from equidiff.analysis.compare.freedom import Freedom
from equidiff.analysis.compare.quality import (
    NEIGHBOURS,
    RADIUS,
    SQUARES,
    _squares,
    measure_infidelity,
    measure_sensitivity,
)
from equidiff.builtin.attributions.random_map import RandomMap
from equidiff.contracts import Attribution, ScalarTarget
from equidiff.errors import PluginError
from equidiff.numerics.attributions import explain, flatten_channels, seed_of, seeded

LEVELS = st.lists(st.lists(st.integers(0, 5), min_size=8, max_size=8), min_size=2, max_size=4)


def ranks(row):
    """The mean place of each value, ties together, by counting."""
    return [sum(other < value for other in row) + (sum(other == value for other in row) - 1) / 2 for value in row]


def correlation(a, b):
    a, b = np.array(ranks(a)), np.array(ranks(b))
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt((a @ a) * (b @ b))
    return math.nan if length == 0 else float(a @ b) / length


@settings(max_examples=60, deadline=None)
@given(LEVELS)
def test_rank_correlation_is_that_of_explicit_ranks(rows):
    found = rank_correlations(np.array(rows, dtype=float))
    expected = [[correlation(a, b) for b in rows] for a in rows]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_rank_correlation_is_scipys():
    rows = np.random.default_rng(0).random((4, 50)).round(1)
    np.testing.assert_allclose(rank_correlations(rows), spearmanr(rows, axis=1).statistic, atol=1e-12)


def chosen(row, count):
    """Every way to choose the strongest pixels."""
    best = max(sum(row[place] for place in places) for places in itertools.combinations(range(len(row)), count))
    return [
        set(places)
        for places in itertools.combinations(range(len(row)), count)
        if sum(row[place] for place in places) == best
    ]


@settings(max_examples=40, deadline=None)
@given(LEVELS, st.sampled_from([0.125, 0.25, 0.5]))
def test_overlap_is_the_mean_over_all_ways_to_break_ties(rows, share):
    found, count = overlaps(np.array(rows, dtype=float), share), round(8 * share)
    for (i, a), (j, b) in itertools.combinations(enumerate(rows), 2):
        pairs = [len(one & other) / count for one in chosen(a, count) for other in chosen(b, count)]
        assert found[i, j] == pytest.approx(sum(pairs) / len(pairs))


def test_agreement_is_over_pairs():
    maps = torch.randn(4, 5, 5, generator=torch.Generator().manual_seed(0))
    ours = agreement(maps, query=True)
    rows = [image.abs().flatten().tolist() for image in maps]
    pairs = [correlation(rows[i], rows[j]) for i, j in ((1, 2), (1, 3), (2, 3))]
    assert ours["rank_correlation_members"] == pytest.approx(sum(pairs) / 3)
    beside = [correlation(rows[0], rows[j]) for j in (1, 2, 3)]
    assert ours["rank_correlation_query"] == pytest.approx(sum(beside) / 3)
    assert agreement(maps[1:], query=False).keys() == {"rank_correlation_members", "overlap_members"}


def test_equal_maps_agree_and_constant_ones_do_not_count():
    image = torch.randn(1, 5, 5, generator=torch.Generator().manual_seed(0))
    same = agreement(image.repeat(3, 1, 1), query=True)
    assert list(same.values()) == pytest.approx([1, 1, 1, 1])
    # the sign of a map does not matter, only its size
    assert list(agreement(torch.cat([image, -image, image]), query=True).values()) == pytest.approx([1, 1, 1, 1])
    flat = torch.cat([image, torch.ones(2, 5, 5)])
    assert agreement(flat, query=True) == {}
    # one member, no pair
    assert agreement(image.repeat(2, 1, 1), query=True).keys() == {"rank_correlation_query", "overlap_query"}


def freedom(free, prior):
    return Freedom([0, 1], "pixels", torch.as_tensor(free), torch.as_tensor(prior))


def area(scores, positive):
    """Share of pairs in the right order, ties half."""
    wins = [(a > b) + 0.5 * (a == b) for a, p in zip(scores, positive, strict=True) if p
            for b, q in zip(scores, positive, strict=True) if not q]  # fmt: skip
    return sum(wins) / len(wins)


def test_the_area_is_that_of_counted_pairs():
    stream = torch.Generator().manual_seed(0)
    free, prior = (torch.rand(6, 6, generator=stream) for _ in range(2))
    prior[:2] = 0.01  # below `SEEN`
    image = torch.randn(6, 6, generator=stream).round(decimals=1)
    scores = freedom(free, prior).scores(image)
    everywhere = free.flatten().tolist()
    middle = np.median(everywhere)
    strength = image.abs().flatten().tolist()
    assert scores["freedom_auc"] == pytest.approx(area(strength, [value <= middle for value in everywhere]))
    seen = [place for place in range(36) if prior.flatten()[place] > 0.05]
    assert len(seen) < 36
    relative = [everywhere[place] / prior.flatten()[place].item() for place in seen]
    fixed = [value <= np.median(relative) for value in relative]
    assert scores["freedom_auc_seen"] == pytest.approx(area([strength[place] for place in seen], fixed))


def test_a_map_of_the_fixed_pixels_has_the_whole_area_and_a_random_one_half():
    free = torch.rand(16, 16, generator=torch.Generator().manual_seed(0))
    found = freedom(free, torch.ones(16, 16))
    assert found.scores((free <= free.median()).float()) == {"freedom_auc": 1, "freedom_auc_seen": 1}
    assert found.scores(free)["freedom_auc"] == 0
    scalar = ScalarTarget(Asks(linear_network()), torch.zeros(1))
    sample = torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(1))
    areas = [
        found.scores(RandomMap(seed).attribute(scalar, sample)[0, 0])["freedom_auc"] for seed in range(30)
    ]  # fmt: skip
    # of 128 against 128 pixels, one area has a standard deviation of 0.036
    assert len(set(areas)) == 30
    assert sum(areas) / 30 == pytest.approx(0.5, abs=4 * 0.036 / math.sqrt(30))


def test_without_both_kinds_of_pixels_there_is_no_area():
    image = torch.rand(4, 4)
    assert freedom(torch.zeros(4, 4), torch.ones(4, 4)).scores(image) == {}
    dark = freedom(torch.rand(4, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 4))
    assert dark.scores(image).keys() == {"freedom_auc"}


def scalar(network=None):
    return ScalarTarget(Asks(network or small_network()), torch.zeros(1))


def test_infidelity_is_its_formula():
    subject, sample = scalar(), SAMPLES[:1]
    attributions = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(5))
    for local in (True, False):
        squares = _squares(sample, SQUARES, torch.Generator().manual_seed(3))
        changes = squares * sample if local else squares
        predicted = [float((change * attributions[0]).sum()) for change in changes]
        with torch.no_grad():
            true = [float(subject(sample) - subject(sample * (1 - square))) for square in squares]
        factor = sum(a * b for a, b in zip(predicted, true, strict=True)) / sum(a * a for a in predicted)
        expected = sum((factor * a - b) ** 2 for a, b in zip(predicted, true, strict=True)) / SQUARES
        assert expected > 1e-5
        assert measure_infidelity(local, subject, sample, attributions, 3) == pytest.approx(expected, rel=1e-3)


def test_slopes_and_shares_of_a_linear_function_predict_every_change():
    subject, sample = scalar(linear_network()), SAMPLES[:1]
    slopes = WEIGHTS.reshape(1, *SHAPE)
    assert measure_infidelity(True, subject, sample, slopes, 0) < 1e-6
    assert measure_infidelity(False, subject, sample, 3 * slopes * sample, 0) < 1e-6
    # one channel in place of two: it predicts their sum
    assert measure_infidelity(False, subject, sample, (slopes * sample).sum(dim=1, keepdim=True), 0) < 1e-6
    noise = RandomMap(0).attribute(subject, sample)
    assert measure_infidelity(False, subject, sample, noise, 0) > 0.1


def test_squares_lie_inside_and_have_their_size():
    squares = _squares(torch.zeros(1, 2, 9, 13), 200, torch.Generator().manual_seed(0))
    assert set(squares.unique().tolist()) == {0, 1}
    assert (squares.sum(dim=(2, 3)) == 4).all()
    assert squares.amax(dim=(0, 1)).all()  # every pixel is covered at times


class Squared(Attribution):
    """x² as a map."""

    def attribute(self, scalar, samples):
        return samples.square()


class Constant(Attribution):
    def attribute(self, scalar, samples):
        return torch.ones_like(samples)


def test_sensitivity_is_its_formula():
    sample, subject = SAMPLES[:1], scalar()
    with seeded(4):
        # Captum's own neighbours: uniform in a cube
        rows = sample.expand(NEIGHBOURS, -1, -1, -1)
        near = rows + torch.FloatTensor(rows.size()).uniform_(-RADIUS, RADIUS)
    whole = sample.square().sum(dim=1)
    moved = (near.square().sum(dim=1) - whole).flatten(1).norm(dim=1) / whole.norm()
    assert measure_sensitivity(Squared(), subject, sample, 4) == pytest.approx(float(moved.max()), rel=1e-4)
    assert measure_sensitivity(Constant(), subject, sample, 4) == 0
    # two random maps of unit variance are sqrt(2) apart, relative to their length
    large = torch.rand(1, 2, 40, 40, generator=torch.Generator().manual_seed(0))
    assert measure_sensitivity(RandomMap(0), subject, large, 4) == pytest.approx(math.sqrt(2), rel=0.1)


def test_neither_depends_on_the_batch():
    sample = SAMPLES[:1]
    one, many = (ScalarTarget(Asks(small_network()), torch.zeros(1), batch) for batch in (3, 64))
    noise = RandomMap(0).attribute(one, sample)
    assert measure_infidelity(False, one, sample, noise, 1) == pytest.approx(
        measure_infidelity(False, many, sample, noise, 1), rel=1e-4
    )
    assert measure_sensitivity(Squared(), one, sample, 1) == pytest.approx(
        measure_sensitivity(Squared(), many, sample, 1), rel=1e-5
    )


def test_a_method_that_returns_the_wrong_thing_is_named():
    class Flat(Attribution):
        def attribute(self, scalar, samples):
            return samples.flatten(1)

    class Infinite(Attribution):
        def attribute(self, scalar, samples):
            return samples / 0

    with pytest.raises(PluginError, match="Flat does not return a map"):
        explain(Flat(), scalar(), SAMPLES, [0, 1, 2])
    with pytest.raises(PluginError, match="not finite"):
        explain(Infinite(), scalar(), SAMPLES, [0, 1, 2])


def test_seeds_are_restored_and_distinct():
    torch.manual_seed(1)
    np.random.seed(1)
    before = (torch.get_rng_state(), np.random.get_state()[1].tolist())
    with seeded(7):
        torch.rand(3)
        np.random.rand(3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert len({seed_of(seed, number) for seed in range(5) for number in range(-1, 30)}) == 5 * 31


def test_channels_are_added():
    assert importance(flatten_channels(torch.tensor([[[[1.0]], [[-3.0]]]]))).tolist() == [[2]]
