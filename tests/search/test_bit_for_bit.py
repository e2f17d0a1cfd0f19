"""On a CPU a sample is the same to the last bit, and costs the same, whatever runs beside it."""

import pytest
import torch

from equidiff.registry.manager import Plugins
from equidiff.run.session import prepare
from equidiff.run.settings import Settings
from equidiff.search.engine import Result, StepRecord


def search(session, *parts, batch=16):
    """Results and steps of each sample, found in several runs."""
    object.__setattr__(session.settings, "batch", batch)
    events = [event for part in parts for event in session.run(part)]
    steps = [event for event in events if isinstance(event, StepRecord)]
    return {event.index: event for event in events if isinstance(event, Result)}, steps


def assert_same(found, whole, indices):
    results, steps = found
    assert sorted(results) == sorted(indices)
    for index, result in results.items():
        other = whole[0][index]
        assert (result.status, result.steps, result.cost) == (other.status, other.steps, other.cost)
        for name in ("latents", "samples", "measurements", "loss"):
            assert torch.equal(getattr(result.answer, name), getattr(other.answer, name)), (index, name)
        assert [each for each in steps if each.index == index] == [each for each in whole[1] if each.index == index]


@pytest.mark.parametrize("objective", ["classifier:inner", "neuron:17"])
def test_points(objective):
    session = prepare(Settings("toy:circles", objective, query=1, samples=40), Plugins())
    whole = search(session, range(40))
    assert_same(search(session, range(16), range(16, 32), range(32, 40)), whole, range(40))
    assert_same(search(session, [3, 9, 10], [20], [39]), whole, [3, 9, 10, 20, 39])  # as a run goes on
    assert_same(search(session, range(40), batch=32), whole, range(40))
    narrow, _ = search(session, range(40), batch=4)  # passes of another size: the same members, but for rounding
    assert [narrow[index].status for index in range(40)] == [whole[0][index].status for index in range(40)]


def test_images():
    session = prepare(Settings("toy:fashion,steps=2", "classifier:bag", query=8, samples=16), Plugins())
    whole = search(session, range(16))
    assert_same(search(session, [2, 7, 11]), whole, [2, 7, 11])
    assert_same(search(session, [2, 5, 7], batch=32), whole, [2, 5, 7])
