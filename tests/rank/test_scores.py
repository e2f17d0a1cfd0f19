"""Statistics of units, against plain formulas."""

import math

import pytest
import torch

from equidiff.rank.scores import entropy, selectivity, summarize


def activations(images=40, units=7):
    values = torch.randn(images, units, generator=torch.Generator().manual_seed(0))
    values[:, 5] = -values[:, 5].abs()  # never active
    values[:, 6] = 0.0
    values[13, 6] = 2.0  # active once
    return values


def labels(images=40, classes=4):
    return [index % classes for index in range(images)]


@pytest.mark.parametrize("size", [1, 7, 40])
def test_every_statistic_by_its_formula(size):
    values = activations()
    found = summarize(values.split(size), labels(), 4, top=5)
    for unit in range(values.shape[1]):
        column = values[:, unit].tolist()
        positive = [max(value, 0.0) for value in column]
        assert found.mean[unit].item() == pytest.approx(sum(column) / 40, abs=1e-6)
        assert found.maximum[unit].item() == max(column)
        assert found.active[unit].item() == sum(value > 0 for value in column) / 40
        squares = sum(value**2 for value in positive) / 40
        dense = (sum(positive) / 40) ** 2 / squares if squares else 1.0
        assert found.sparsity[unit].item() == pytest.approx((1 - dense) / (1 - 1 / 40), abs=1e-6)
        for label in range(4):
            own = [value for value, other in zip(positive, labels(), strict=True) if other == label]
            assert found.class_means[unit, label].item() == pytest.approx(sum(own) / len(own), abs=1e-6)
        order = sorted(range(40), key=lambda row: (-column[row], row))[:5]
        assert found.top_rows[unit].tolist() == order
        assert found.top_values[unit].tolist() == [column[row] for row in order]


def test_sparsity_at_its_ends():
    values = torch.zeros(10, 3)
    values[:, 0] = 0.7
    values[4, 1] = 0.7
    assert summarize([values], [None] * 10, 0, 2).sparsity.tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)
    assert summarize([values[:1]], [None], 0, 2).sparsity.tolist() == [0.0, 0.0, 0.0]


def test_images_that_could_not_be_read_do_not_count():
    values = activations()
    gaps = values.clone()
    gaps[[0, 20, 39]] = torch.nan
    kept = [row for row in range(40) if row not in (0, 20, 39)]
    with_gaps = summarize(gaps.split(9), labels(), 4, 5)
    without = summarize([values[kept]], [labels()[row] for row in kept], 4, 5)
    for name in ("mean", "maximum", "active", "sparsity", "class_means", "top_values"):
        torch.testing.assert_close(getattr(with_gaps, name), getattr(without, name))
    assert with_gaps.top_rows.tolist() == torch.tensor(kept)[without.top_rows].tolist()


def test_images_without_labels_belong_to_no_class():
    values = activations()
    some = [label if row % 3 else None for row, label in enumerate(labels())]
    found = summarize([values], some, 5, 2)
    rows = [row for row, label in enumerate(some) if label == 2]
    torch.testing.assert_close(found.class_means[:, 2], values[rows].clamp(min=0).double().mean(dim=0))
    assert found.class_means[:, 4].isnan().all()  # a class without images


def test_equal_activations_keep_the_order_of_the_images():
    found = summarize(torch.ones(10, 1).split(3), [None] * 10, 0, 4)
    assert found.top_rows.tolist() == [[0, 1, 2, 3]]


def test_without_an_image_there_is_nothing_to_summarize():
    with pytest.raises(ValueError, match="no image"):
        summarize([torch.full((3, 2), torch.nan)], [None] * 3, 0, 2)


def test_selectivity():
    means = torch.tensor([[4.0, 1.0, 1.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0], [0.0, 3.0, 0.0]])
    expected = [[(4 - 1) / (4 + 1), (1 - 2.5) / (1 + 2.5), (1 - 2.5) / (1 + 2.5)], [0] * 3, [0] * 3, [-1, 1, -1]]
    torch.testing.assert_close(selectivity(means), torch.tensor(expected))
    gap = torch.tensor([[4.0, torch.nan, 1.0]])
    assert selectivity(gap)[0, [0, 2]].tolist() == pytest.approx([0.6, -0.6])
    assert selectivity(gap)[0, 1].isnan()
    assert selectivity(torch.zeros(3, 0)).shape == (3, 0)


def test_entropy():
    assert entropy([("a", 3.0), ("a", 2.0)]) == 0
    assert entropy([(label, 2.0) for label in "abcd"]) == pytest.approx(2)
    shares = (0.75, 0.25)
    by_hand = -sum(share * math.log2(share) for share in shares)
    assert entropy([("a", 2.0), ("a", 1.0), ("b", 1.0)]) == pytest.approx(by_hand)
    assert entropy([("a", 2.0), ("b", -5.0)]) == 0  # what does not activate weighs nothing
    assert entropy([("a", 0.0), ("b", -1.0)]) is None
    assert entropy([]) is None
