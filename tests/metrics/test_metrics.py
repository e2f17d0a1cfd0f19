"""The metrics against explicit loops, formulas and known distributions."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from equidiff.kinds.image_changes import add_noise, compress, resize
from equidiff.metrics import (
    KernelDistance,
    as_distributions,
    coverage,
    deviations,
    frechet_distance,
    frechet_from_features,
    gaussian_kernel,
    kernel_distance,
    kl_divergences,
    mean_pairwise_distance,
    median_distance,
    nearest_distances,
    percentiles,
    rank_correlations,
    vendi_of_kernel,
    vendi_score,
)
from equidiff.metrics.realism import mean_percentile_interval


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# fidelity


def test_deviations_by_hand():
    measured, target = torch.tensor([[3.0, -4.0], [1.0, 1.0]]), torch.tensor([0.0, 0.0])
    found = deviations(measured, target)
    assert found.l1.tolist() == [7, 2]
    assert found.l2.tolist() == pytest.approx([5, math.sqrt(2)])
    assert found.max.tolist() == [4, 1]
    spread = deviations(measured, target, torch.tensor([3.0, 2.0]))
    assert spread.l1.tolist() == pytest.approx([3, 5 / 6])
    assert spread.max.tolist() == pytest.approx([2, 0.5])


def test_divergence_by_its_formula():
    target, rows = draw(7, seed=1).softmax(dim=0), draw(5, 7, seed=2).softmax(dim=1)
    slow = [sum(q * math.log(q / p) for p, q in zip(row, target.tolist(), strict=True)) for row in rows.tolist()]
    assert kl_divergences(rows, target).tolist() == pytest.approx(slow)
    assert kl_divergences(target[None], target).item() == 0


def test_rank_correlation_by_spearmans_formula():
    rows, target = draw(4, 9, seed=3), draw(9, seed=4)
    place = target.argsort().argsort()
    slow = [1 - 6 * float((row.argsort().argsort() - place).square().sum()) / (9 * 80) for row in rows]
    assert rank_correlations(rows, target).tolist() == pytest.approx(slow)
    assert rank_correlations(torch.stack([target.exp(), -target]), target).tolist() == pytest.approx([1, -1])
    tied = rank_correlations(torch.tensor([[1.0, 1.0, 2.0]]), torch.tensor([1.0, 2.0, 3.0]))
    assert tied.item() == pytest.approx(spearmanr([1, 1, 2], [1, 2, 3]).statistic)


def test_what_is_a_distribution():
    logits = draw(4, 3)
    assert torch.equal(as_distributions(logits, "logit"), logits.softmax(dim=1))
    probabilities = logits.softmax(dim=1)
    assert torch.equal(as_distributions(probabilities, "probability"), probabilities)
    assert as_distributions(probabilities[:, :1], "probability") is None
    assert as_distributions(probabilities / 2, "probability") is None
    assert as_distributions(logits, "activation") is None


# changes


def test_changes_are_small_stay_in_eight_bits_and_grow():
    ramp = torch.linspace(0.1, 0.9, 32).expand(2, 3, 32, 32) + 0.05 * draw(2, 3, 32, 32).float()
    for change in (lambda x: compress(x, 75), lambda x: resize(x, 0.5), lambda x: add_noise(x, 0.02)):
        changed = change(ramp.clamp(0, 1))
        assert changed.shape == ramp.shape
        assert ((changed * 255) - (changed * 255).round()).abs().max() < 1e-4
        assert 0.001 < (changed - ramp.clamp(0, 1)).abs().mean() < 0.06
    finer, coarser = (compress(ramp.clamp(0, 1), quality) for quality in (95, 30))
    assert (finer - ramp.clamp(0, 1)).norm() < (coarser - ramp.clamp(0, 1)).norm()


def test_noise_has_the_deviation_that_was_asked_for():
    grey = torch.full((1, 1, 100, 100), 0.5)
    assert (add_noise(grey, 0.02) - grey).std().item() == pytest.approx(0.02, rel=0.03)


def test_resizing_takes_what_is_above_the_new_nyquist_frequency():
    stripes = 0.5 + 0.4 * torch.cos(math.pi * torch.arange(64) * 0.9).expand(1, 1, 64, 64)
    assert (resize(stripes, 0.5)[..., 8:-8] - 0.5).abs().max() < 0.05
    smooth = 0.5 + 0.4 * torch.cos(math.pi * torch.arange(64) * 0.1).expand(1, 1, 64, 64)
    assert (resize(smooth, 0.5) - smooth)[..., 8:-8].abs().max() < 0.02


# realism


def slow_kid(x, y):
    """Binkowski et al., by double loops."""

    def k(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    x, y = x.tolist(), y.tolist()
    xx = sum(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (len(x) * (len(x) - 1))
    yy = sum(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (len(y) * (len(y) - 1))
    xy = sum(k(a, b) for a in x for b in y) / (len(x) * len(y))
    return xx + yy - 2 * xy


def test_kernel_distance_by_double_loops():
    x, y = draw(7, 5, seed=1), draw(9, 5, seed=2) + 0.3
    assert kernel_distance(x, y) == pytest.approx(slow_kid(x, y))


def test_kernel_distance_is_unbiased_and_sees_a_difference():
    same = [kernel_distance(draw(20, 4, seed=s), draw(20, 4, seed=1000 + s)) for s in range(300)]
    error = np.std(same) / math.sqrt(300)
    assert abs(np.mean(same)) < 4 * error
    assert min(same) < 0
    assert kernel_distance(draw(20, 4), draw(20, 4, seed=1) + 1) > 10 * np.std(same)


def test_resampled_kernel_distance_leaves_out_a_row_beside_itself():
    """A resample with weights is the double loop over drawn rows, but for pairs of one row with itself."""
    x, y = draw(4, 3, seed=1), draw(5, 3, seed=2)
    kernel = gaussian_kernel(1.3)
    rows, others = [0, 0, 2, 3], [1, 1, 1, 4, 0]
    weights = [torch.bincount(torch.tensor(r), minlength=n).double()[None] for r, n in ((rows, 4), (others, 5))]

    def k(a, b):
        return math.exp(-0.5 * float((a - b).square().sum()) / 1.3**2)

    def within(points, drawn):
        pairs = [(i, j) for a, i in enumerate(drawn) for b, j in enumerate(drawn) if a != b and i != j]
        return sum(k(points[i], points[j]) for i, j in pairs) / len(pairs)

    across = sum(k(x[i], y[j]) for i in rows for j in others) / 20
    found = KernelDistance.of(x, y, kernel).weighted(*weights)
    assert found.item() == pytest.approx(within(x, rows) + within(y, others) - 2 * across)


def test_frechet_distance_of_given_statistics():
    size = 12
    a, b = draw(size, 2 * size, seed=1), draw(size, 2 * size, seed=2)
    covariances = [each @ each.T / size for each in (a, b)]
    means = [draw(size, seed=3), draw(size, seed=4)]
    root = scipy.linalg.sqrtm((covariances[0] @ covariances[1]).numpy())
    expected = float((means[0] - means[1]).square().sum() + sum(c.trace() for c in covariances))
    expected -= 2 * float(np.trace(root).real)
    found = frechet_distance(means[0], covariances[0], means[1], covariances[1])
    assert found == pytest.approx(expected)


def test_frechet_distance_of_diagonal_covariances_is_a_sum():
    """By the formula: |m - n|^2 + sum (s - t)^2 of the standard deviations."""
    s, t = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 2.0, 0.5])
    found = frechet_distance(torch.zeros(3), torch.diag(s**2), torch.tensor([1.0, 0, 0]), torch.diag(t**2))
    assert found == pytest.approx(1 + 1 + 0 + 6.25)


def test_frechet_distance_from_few_features_is_mostly_bias():
    """Two sets of one distribution: far from 0 with 32 rows, near with 4000."""
    few, many = (frechet_from_features(draw(n, 64, seed=1), draw(n, 64, seed=2)) for n in (32, 4000))
    assert few > 30
    assert many < 1.5
    same = draw(10, 4)
    assert frechet_from_features(same, same) == pytest.approx(0, abs=1e-5)


def test_percentiles_by_brute_force():
    values, among = draw(6, seed=1), draw(11, seed=2)
    among[3] = values[2]
    slow = [100 * sum((a < v) + 0.5 * (a == v) for a in among.tolist()) / 11 for v in values.tolist()]
    assert percentiles(values, among).tolist() == pytest.approx(slow)
    assert percentiles(values, values).mean().item() == pytest.approx(50)


def test_nearest_distances_by_brute_force():
    x, y = draw(5, 3, seed=1), draw(8, 3, seed=2)
    slow = [min(math.dist(a, b) for b in y.tolist()) for a in x.tolist()]
    assert nearest_distances(x, y).tolist() == pytest.approx(slow)
    gaps = sorted(math.dist(a, b) for i, a in enumerate(y.tolist()) for b in y.tolist()[i + 1 :])
    assert median_distance(y) == pytest.approx(gaps[(len(gaps) - 1) // 2])


def test_the_percentiles_interval_is_about_its_mean():
    values, among = draw(40, seed=1) + 1, draw(64, seed=2)
    mean = percentiles(values, among).mean().item()
    low, high = mean_percentile_interval(values, among)
    assert low < mean < high
    assert low > 50


# diversity


def test_vendi_of_identical_and_of_orthogonal_rows():
    assert vendi_score(torch.ones(6, 3)) == pytest.approx(1)
    assert vendi_score(torch.eye(6)) == pytest.approx(6)
    assert vendi_score(torch.cat([torch.eye(3), torch.eye(3)])) == pytest.approx(3)


def test_vendi_of_many_rows_is_that_of_their_kernel(monkeypatch):
    rows = torch.randn(60, 7, generator=torch.Generator().manual_seed(0))
    units = torch.nn.functional.normalize(rows.double(), dim=1)
    of_kernel = vendi_of_kernel(units @ units.T)
    assert vendi_score(rows) == of_kernel
    monkeypatch.setattr("equidiff.metrics.diversity.MANY", 20)
    assert vendi_score(rows) == pytest.approx(of_kernel, rel=1e-12)


def test_vendi_of_two_rows_at_an_angle():
    """K / 2 has the eigenvalues (1 + c) / 2 and (1 - c) / 2."""
    cosine = 0.6
    rows = torch.tensor([[1.0, 0.0], [cosine, 0.8]])
    p = [(1 + cosine) / 2, (1 - cosine) / 2]
    assert vendi_score(3 * rows) == pytest.approx(math.exp(-sum(q * math.log(q) for q in p)))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10_000))
def test_vendi_lies_between_one_and_the_number_of_rows(count, seed):
    features = draw(count, 4, seed=seed)
    score = vendi_score(features)
    assert 1 - 1e-9 <= score <= count + 1e-9
    kernel = torch.nn.functional.cosine_similarity(features[:, None], features[None], dim=2)
    eigenvalues = np.linalg.eigvals(kernel.numpy() / count).real
    slow = math.exp(-sum(v * math.log(v) for v in eigenvalues if v > 1e-12))
    assert vendi_of_kernel(kernel) == pytest.approx(slow, rel=1e-6)
    assert score == pytest.approx(slow, rel=1e-6)


def test_mean_pairwise_distance_by_double_loop():
    rows = draw(6, 3).tolist()
    slow = sum(math.dist(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j) / 30
    assert mean_pairwise_distance(torch.tensor(rows)) == pytest.approx(slow)


def test_coverage_by_brute_force():
    features, reference = draw(8, 2, seed=1), draw(20, 2, seed=2)
    slow = []
    for centre in reference.tolist():
        radius = sorted(math.dist(centre, other) for other in reference.tolist())[3]
        slow.append(float(any(math.dist(centre, row) <= radius for row in features.tolist())))
    assert coverage(features, reference, neighbours=3).tolist() == slow
    assert coverage(reference, reference).mean() == 1
    assert coverage(reference + 100, reference).mean() == 0
