"""Warnings about members, and when there are none."""

import math

import pytest
import torch
from made_runs import made_info

from equidiff.kinds.image import Image
from equidiff.run import cautions as module
from equidiff.run.record import Record
from equidiff.run.summary import Summary
from equidiff.run.wording import largest_deviation
from equidiff.search.engine import MEMBER

SIZE = 784


def cautions(info, records, size):
    return module.cautions(info, Summary.of(info, records), size, Image())


def members(norms, outside=0.003):
    return [
        Record(index, MEMBER, 3, 4.0, 5, 6, 0.1, outside=outside, latent_norm=norm) for index, norm in enumerate(norms)
    ]


def prior_norms(count, seed):
    latents = torch.randn(count, SIZE, generator=torch.Generator().manual_seed(seed))
    return (latents.norm(dim=1) / math.sqrt(SIZE)).tolist()


def test_prior_samples_hardly_ever_raise_an_alarm():
    alarms = sum(bool(cautions(made_info(), members(prior_norms(16, seed)), SIZE)) for seed in range(300))
    assert alarms < 12


@pytest.mark.parametrize(("norm", "word"), [(1.3, "up to 1.30"), (0.6, "down to 0.60")])
def test_latents_outside_the_shell(norm, word):
    (text,) = cautions(made_info(), members([1.0] * 8 + [norm] * 8), SIZE)
    assert "8 of 16 members" in text
    assert word in text
    assert cautions(made_info(), members([1.0] * 15 + [norm]), SIZE) == []


def test_samples_outside_the_range_of_images():
    norms = [1.0] * 4
    (text,) = cautions(made_info(), [*members(norms), *members(norms, outside=0.15)], SIZE)
    assert "4 of 8 members" in text
    assert "0.15" in text
    assert cautions(made_info(), members(norms, outside=0.02), SIZE) == []


def test_prior_samples_that_are_members_already():
    info = made_info(prior={"count": 64, "members": 60, "spread": 0.1})
    assert "60 of 64 prior samples are members" in cautions(info, members([1.0] * 4), SIZE)[0]


def test_the_largest_deviation_is_a_distance_in_the_measurements_unit():
    info = made_info(within=0.1, tolerance=0.01)
    assert largest_deviation(info, [0.0025, None, 0.0001]) == pytest.approx(0.05)
    assert largest_deviation(info, []) is None
    assert largest_deviation(made_info(), [0.1]) is None  # a run of schema version 1
