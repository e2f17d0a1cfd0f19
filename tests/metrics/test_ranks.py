"""The rank test, against enumeration; laws that are known to be wrong are rejected, the right one is not."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from equidiff.metrics.ranks import rank_masses, rank_test


def random(seed):
    return torch.Generator().manual_seed(seed)


def chi_squared(row_masses):
    """By loops."""
    count, draws = len(row_masses), len(row_masses[0])
    total = [sum(float(row[rank]) for row in row_masses) for rank in range(draws)]
    return sum((each - count / draws) ** 2 / (count / draws) for each in total)


def masses_by_hand(values, index):
    below = sum(other < values[index] for other in values)
    equal = sum(other == values[index] for other in values)
    return [1 / equal if below <= rank < below + equal else 0.0 for rank in range(len(values))]


def test_masses_are_those_of_a_count_by_hand():
    values = torch.tensor([[3.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0], [4.0, 3.0, 2.0, 1.0]])
    found = rank_masses(values[:, :, None])[:, :, 0]
    wanted = [[masses_by_hand(row, index) for index in range(4)] for row in values.tolist()]
    assert_close(found, torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize("levels", [3, 1000])
def test_chi_squared_its_mean_and_its_p_value_are_those_of_all_possible_queries(levels):
    """With many ties and with none: each member of each row takes the place of the query in turn."""
    values = torch.randint(levels, (4, 4, 1), generator=random(1)).double()
    rows = values[:, :, 0].tolist()
    options = [[masses_by_hand(row, index) for index in range(4)] for row in rows]
    null = [chi_squared(choice) for choice in itertools.product(*options)]
    found = rank_test(values, shuffles=20_000)
    wanted = chi_squared([each[0] for each in options])
    assert float(found.chi_squared) == pytest.approx(wanted)
    assert float(found.degrees) == pytest.approx(sum(null) / len(null))
    share = sum(each >= wanted - 1e-9 for each in null) / len(null)
    assert float(found.p_values) == pytest.approx(share, abs=0.02)
    assert found.p_value == float(found.p_values)


def test_rows_that_lack_members_have_fewer_ranks_which_cover_all():
    """By enumeration too; values of draws that are not there do not matter."""
    values = torch.randint(5, (4, 4, 1), generator=random(5)).double()
    present = torch.tensor([4, 3, 2, 3])
    rows = [row[:count] for row, count in zip(values[:, :, 0].tolist(), present.tolist(), strict=True)]

    def stretched(masses):
        count = len(masses)
        covered = [
            [max(0, min((r + 1) / count, (b + 1) / 4) - max(r / count, b / 4)) for b in range(4)] for r in range(count)
        ]
        return [sum(masses[r] * covered[r][b] * count for r in range(count)) for b in range(4)]

    options = [[stretched(masses_by_hand(row, index)) for index in range(len(row))] for row in rows]
    null = [chi_squared(choice) for choice in itertools.product(*options)]
    found = rank_test(values, shuffles=20_000, present=present)
    wanted = chi_squared([each[0] for each in options])
    assert float(found.chi_squared) == pytest.approx(wanted)
    assert float(found.degrees) == pytest.approx(sum(null) / len(null))
    assert float(found.p_values) == pytest.approx(sum(each >= wanted - 1e-9 for each in null) / len(null), abs=0.02)
    values[1, 3] = values[2, 2:] = 1e6
    assert rank_test(values, shuffles=100, present=present).chi_squared == found.chi_squared


def test_a_query_without_a_member_is_refused():
    with pytest.raises(ValueError, match="rank"):
        rank_test(torch.zeros(2, 3, 1), present=torch.tensor([3, 1]))


def test_without_ties_it_is_the_usual_chi_squared():
    values = torch.randn(200, 5, 2, generator=random(2))
    found = rank_test(values)
    ranks = (values[:, 1:] < values[:, :1]).sum(dim=1)
    for statistic in range(2):
        counts = torch.bincount(ranks[:, statistic], minlength=5).double()
        assert_close(found.counts[statistic], counts)
        assert float(found.chi_squared[statistic]) == pytest.approx(float(((counts - 40) ** 2 / 40).sum()))
    assert found.degrees.tolist() == pytest.approx([4.0, 4.0])


def test_p_values_of_the_right_law_are_uniform_even_with_ties():
    """Also of statistics that depend on each other; a test that ignored the ties would have few small ones."""
    found = []
    for seed in range(200):
        values = torch.randn(40, 5, 1, generator=random(seed))
        rounded = (2 * torch.cat([values, values, -values], dim=2)).round()
        found.append(rank_test(rounded, shuffles=200, seed=seed).p_value)
    ordered = torch.tensor(found).sort().values
    distance = (ordered - (torch.arange(200) + 0.5) / 200).abs().max()
    assert distance < 1.63 / 200**0.5  # Kolmogorov-Smirnov at 1 %


@pytest.mark.parametrize("wrong", ["narrow", "shifted", "wide"])
def test_a_wrong_law_is_rejected(wrong):
    values = torch.randn(150, 5, 1, generator=random(3))
    assert rank_test(values).p_value > 0.05
    scale, shift = {"narrow": (0.5, 0.0), "shifted": (1.0, 0.7), "wide": (2.0, 0.0)}[wrong]
    values[:, 1:] = scale * values[:, 1:] + shift
    found = rank_test(values)
    assert found.p_value < 0.001
    assert found.ratio > 2


def test_the_same_seed_gives_the_same_p_value():
    values = torch.randn(30, 4, 2, generator=random(4))
    assert rank_test(values, seed=1).p_value == rank_test(values, seed=1).p_value


@pytest.mark.parametrize("values", [torch.zeros(0, 4, 1), torch.zeros(3, 1, 1), torch.full((2, 3, 1), torch.nan)])
def test_values_that_cannot_be_ranked_are_refused(values):
    with pytest.raises(ValueError, match="rank"):
        rank_test(values)
