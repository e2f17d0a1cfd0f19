"""Which samples of a run start from a bank."""

import pytest
import torch

from equidiff.builtin.solvers.auto.solver import CANDIDATES_OF_FEW
from equidiff.search.blocks import BLOCK
from equidiff.search.supply import NEAR, Supply


def starts(members, others, samples):
    supply = Supply(tuple(range(members)), tuple(range(1000, 1000 + others)), lambda numbers: pytest.fail("not asked"))
    return [supply.start(index) for index in range(samples)]


def test_near_ones_are_given_away_once_each_and_whole_blocks_get_none():
    found = starts(members=3, others=250, samples=200)
    last = 80  # 3 and a quarter of 250, to the end of its block
    assert found[:3] == [None] * 3  # those are members
    assert found[3:last] == list(range(1000, 1000 + last - 3))
    assert found[last:] == [None] * (200 - last)
    assert last % BLOCK == 0


def test_a_small_bank_is_used_up():
    assert starts(members=0, others=5, samples=40) == [*range(1000, 1005), *[None] * 35]


def test_the_best_candidate_is_as_near_as_the_last_start():
    ranks = torch.rand(20_000, CANDIDATES_OF_FEW, generator=torch.Generator().manual_seed(0)).min(dim=1).values
    assert ranks.mean().item() == pytest.approx(NEAR, abs=0.005)
