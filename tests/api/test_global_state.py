"""A run in Python is the same whatever global state torch is in, and leaves that state as it is."""

from contextlib import contextmanager

import pytest
import torch

import equidiff


def sample():
    return equidiff.sample("toy:circles", "neuron:17", query=0, samples=4, tolerance=1e-4)


@pytest.fixture(scope="module")
def usual():
    return sample()


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


STATES = {
    "float64": default_dtype,
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("state", STATES)
def test_the_same_members_in_any_state(usual, state):
    with STATES[state]():
        found = sample()
    assert [record.evaluations for record in found.records] == [record.evaluations for record in usual.records]
    for name in ("latents", "samples", "measurements"):
        assert found.rows[name].dtype == torch.float32
        assert torch.equal(found.rows[name], usual.rows[name])


def test_random_numbers_of_the_caller_are_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    sample()
    assert torch.equal(torch.rand(1), expected)
