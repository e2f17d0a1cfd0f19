"""The estimate of what is left of a search, on searches whose true end is known."""

import cProfile
import math
import pickle
import random

import pytest

from equidiff.run.remaining import Remaining

TOLERANCE = 1e-3


def play(costs, batch, law=0):
    """Events of a search in which sample i closes its gap evenly in costs[i] evaluations: time, index, cost, loss."""
    start = math.log(300)
    waiting, active, now, events = list(range(len(costs))), {}, 0.0, []
    while waiting or active:
        while waiting and len(active) < batch:
            index = waiting.pop(0)
            active[index] = 0
            events.append((now, "step", index, 1.0, TOLERANCE * math.exp(start)))
        now += len(active)  # an evaluation each, and a second for each
        for index in list(active):
            active[index] += 1
            share = min(active[index] / costs[index], 1.0)
            loss = TOLERANCE * math.exp(start * (1 - share)) * (0.99 if share == 1 else 1)
            events.append((now, "step", index, 1.0 + active[index], loss))
            if active[index] >= costs[index] + law:
                events.append((now, "result", index, 1.0 + active.pop(index), None))
    return events


def estimates(events, remaining):
    """Pairs of the estimated and the true time that is left, at each moment."""
    end = events[-1][0]
    pairs = {}
    for now, kind, index, evaluations, loss in events:
        if kind == "step":
            remaining.step(index, evaluations, loss, now)
        else:
            remaining.result(index, evaluations, now)
        pairs[now] = (remaining.seconds(), end - now)
    return pairs


def ratios(pairs, first, last):
    end = max(pairs)
    return [estimate / left for now, (estimate, left) in pairs.items() if first * end <= now <= last * end and estimate]


@pytest.mark.parametrize(("count", "batch"), [(16, 16), (48, 16), (16, 4)])
@pytest.mark.parametrize("seed", range(4))
def test_the_estimate_is_within_a_factor_of_two(count, batch, seed):
    costs = [random.Random(seed * 100 + index).randint(3, 20) for index in range(count)]
    told = ratios(estimates(play(costs, batch), Remaining(count, TOLERANCE)), 0.25, 0.75)
    assert len(told) > 4
    assert all(1 / 2 < ratio < 2 for ratio in told)


def test_a_burst_of_easy_samples_does_not_mislead_it():
    events = play([2] * 8 + [14] * 40, 16)
    pairs = estimates(events, Remaining(48, TOLERANCE))
    end = max(pairs)
    for now in (time for time in pairs if 0.25 * end < time < 0.35 * end):
        estimate, left = pairs[now]
        finished = sum(kind == "result" for time, kind, *_ in events if time <= now)
        assert 0.8 < estimate / left < 1.25
        assert now / finished * (48 - finished) / left > 1.6  # the negative control: what finished samples alone say


def test_transitions_of_a_law_are_work_too():
    pairs = estimates(play([5] * 6, 6, law=40), Remaining(6, TOLERANCE, transitions=40))
    told = ratios(pairs, 0.25, 0.75)
    assert told
    assert all(0.6 < ratio < 1.5 for ratio in told)
    without = ratios(estimates(play([5] * 6, 6, law=40), Remaining(6, TOLERANCE)), 0.25, 0.75)
    assert not without or max(without) < 0.5  # the negative control: it would say that nothing is left


def test_a_sample_that_never_comes_nearer_costs_no_more_than_its_budget():
    remaining = Remaining(2, TOLERANCE, budget=30)
    remaining.step(0, 1, 0.5, 1.0)
    remaining.step(1, 1, 0.5, 1.0)
    remaining.step(0, 10, 1e-4, 2.0)
    remaining.result(0, 10, 2.0)
    remaining.step(1, 28, 0.49, 9.0)
    assert remaining.evaluations() <= 2


def test_nothing_is_told_before_there_is_anything_to_tell():
    remaining = Remaining(4, TOLERANCE)
    assert remaining.seconds() is None
    assert remaining.share() == 0
    remaining.step(0, 1, 0.5, 1.0)
    assert remaining.seconds() is None


@pytest.mark.parametrize("loss", [math.nan, math.inf, 0.0, -1.0])
def test_any_loss_is_taken(loss):
    remaining = Remaining(2, TOLERANCE)
    for evaluations, now in ((1, 1.0), (2, 2.0)):
        remaining.step(0, evaluations, loss, now)
        remaining.step(1, evaluations, 0.5 / now, now)
    remaining.result(0, 2, 2.0)
    assert remaining.seconds() is None or remaining.seconds() >= 0
    assert 0 <= remaining.share() <= 1
    assert all(0 <= level <= 1 for level in remaining.levels)


def test_the_end():
    remaining = Remaining(1, TOLERANCE)
    remaining.step(0, 1, 0.5, 1.0)
    remaining.step(0, 2, 1e-4, 2.0)
    assert remaining.levels == [1.0]
    remaining.result(0, 2, 2.0)
    assert (remaining.seconds(), remaining.share(), remaining.levels) == (0, 1, [])


def test_an_estimate_costs_as_much_after_many_samples_as_after_few():
    """Counted in calls of Python's own functions and in bytes: a run of 100,000 samples asks a million times."""
    remaining = Remaining(10**6, TOLERANCE)
    sizes = []
    for index in range(4000):
        remaining.step(index, 1.0, 1.0, index + 0.5)
        remaining.result(index, 2.0, index + 1.0)
        if index in {1000, 3999}:
            sizes.append(len(pickle.dumps(remaining)))
            with cProfile.Profile() as profile:
                assert remaining.seconds() is None or remaining.seconds() > 0
            sizes.append(sum(entry.callcount for entry in profile.getstats()))
    assert sizes[2] < 1.5 * sizes[0]
    assert sizes[3] < 1.5 * sizes[1]
