"""Nothing is lost, nothing comes twice, no straggler holds up the rest: with workers whose time is simulated."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import Simulated

from equidiff.errors import UsageError
from equidiff.parallel.dispatch import Dispatcher
from equidiff.parallel.work import Broken, Found, Lost, Work

pytestmark = pytest.mark.faults


def square(pieces):
    """A sample is the square of its index, with the name of its run."""
    return [[(index, f"{order}{index * index}") for index in indices] for order, indices in pieces]


def dispatch(executor, works):
    dispatcher = Dispatcher(executor, executor.clock, executor.wait)
    for work in works:
        dispatcher.add(work)
    return list(dispatcher)


def values(events, work):
    return {each.index: each.value for each in events if isinstance(each, Found) and each.work is work}


def expected(work):
    return {index: f"{work.order}{index * index}" for index in work.indices}


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5),
    workers=st.integers(1, 64),
    seed=st.integers(0, 10**6),
    dies=st.sampled_from([0.0, 0.05, 0.3]),
    slow=st.sampled_from([0.0, 0.2]),
    costly=st.booleans(),
)
def test_each_sample_comes_once_whatever_happens_to_workers(sizes, workers, seed, dies, slow, costly):
    works = [Work(square, f"run {number}: ", range(size), unit=16) for number, size in enumerate(sizes)]
    executor = Simulated(workers, seed, dies, slow, costly=costly)
    events = dispatch(executor, works)
    found = [each for each in events if isinstance(each, Found)]
    lost = {(each.work, each.index) for each in events if isinstance(each, Lost)}
    assert max(Counter((each.work, each.index) for each in found).values(), default=1) == 1
    assert not lost & {(each.work, each.index) for each in found}
    for work in works:
        assert values(events, work) == {i: v for i, v in expected(work).items() if (work, i) not in lost}
    if not dies:
        assert not lost


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_found_does_not_depend_on_the_order(seed):
    works = [Work(square, name, range(90), unit=16) for name in "ab"]
    events = dispatch(Simulated(7, seed, dies=0.1, slow=0.2), works)
    assert [values(events, work) for work in works] == [expected(work) for work in works]


@pytest.mark.parametrize("workers", [2, 64])
def test_a_straggler_does_not_hold_up_the_rest(workers):
    """Workers that are twenty times slower, or never answer, cost a few calls more, not the time of the slowest."""
    work = Work(square, "", range(64 * 64), unit=16)
    undisturbed = Simulated(workers, 1)
    dispatch(undisturbed, [Work(square, "", work.indices, unit=16)])
    executor = Simulated(workers, 1, slow=0.05, hangs=0.002 if workers > 2 else 0.0)
    events = dispatch(executor, [work])
    assert values(events, work) == expected(work)
    assert executor.now < 1.6 * undisturbed.now


def test_calls_of_whole_blocks_get_shorter_towards_the_end():
    executor = Simulated(4)
    dispatch(executor, [Work(square, "a", range(1000), unit=16)])
    lengths = [sum(len(indices) for _, indices in pieces) for pieces in executor.calls]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == 3 * 16
    blocks = [index // 16 for pieces in executor.calls for _, indices in pieces for index in indices]
    assert blocks == sorted(blocks)


def test_where_calls_are_costly_each_worker_gets_one():
    executor = Simulated(3, costly=True)
    works = [Work(square, name, range(32), unit=16) for name in "abcdefg"]
    events = dispatch(executor, works)
    assert len(executor.calls) == 3
    assert [values(events, work) for work in works] == [expected(work) for work in works]


def test_a_sample_that_ends_every_worker_is_lost_alone():
    executor = Simulated(2, deadly=[21])
    work = Work(square, "", range(48), unit=16)
    events = dispatch(executor, [work])
    assert [(each.index, each.reason) for each in events if isinstance(each, Lost)] == [(21, "The worker died.")]
    assert values(events, work) == {index: value for index, value in expected(work).items() if index != 21}
    assert sum(21 in indices for pieces in executor.calls for _, indices in pieces) <= 3 + 3 + 3


def test_where_every_worker_dies_the_works_are_broken():
    """A model too large for every node ends a run at once, not after all its samples have failed one by one."""
    executor = Simulated(2, deadly=range(1000))
    works = [Work(square, name, range(1000), unit=16) for name in "ab"]
    events = dispatch(executor, works)
    assert {each.work for each in events if isinstance(each, Broken)} == set(works)
    assert len(executor.calls) < 30


def refuse(pieces):
    return [
        UsageError("no such device") if order == "bad" else square([(order, indices)])[0] for order, indices in pieces
    ]


def test_a_work_that_breaks_does_not_stop_the_others():
    works = [Work(refuse, order, range(40), unit=16) for order in ("good", "bad", "better")]
    events = dispatch(Simulated(2, 3, dies=0.2), works)
    (broken,) = [each for each in events if isinstance(each, Broken)]
    assert broken.work is works[1]
    assert broken.error.problem == "no such device"
    assert [values(events, work) for work in (works[0], works[2])] == [expected(works[0]), expected(works[2])]


def test_work_may_be_added_on_the_way():
    executor = Simulated(2)
    dispatcher = Dispatcher(executor, executor.clock, executor.wait)
    first, second = (Work(square, name, range(20), unit=16) for name in "ab")
    dispatcher.add(first)
    events = []
    for event in dispatcher:
        events.append(event)
        if len(events) == 20:
            assert not dispatcher.waiting
            dispatcher.add(second)
    assert [values(events, work) for work in (first, second)] == [expected(first), expected(second)]


def leave(disk):
    """A function that leaves its values on a shared disk, and returns that it did."""

    def function(pieces):
        for order, indices in pieces:
            disk.extend((order, index) for index in indices)
        return [[(index, None) for index in indices] for _, indices in pieces]

    return function


def test_values_on_a_shared_disk_are_taken_as_they_come():
    disk = []
    work = Work(leave(disk), "x", range(100), unit=16, arrived=lambda: [(index, index) for _, index in disk])
    executor = Simulated(3, 2, dies=0.1)
    events = dispatch(executor, [work])
    assert values(events, work) == {index: index for index in range(100)}
    assert len(events) == 100


def test_a_disk_that_shows_nothing_costs_the_samples_another_try():
    """Results that a disk swallowed are asked for again, and in the end they are lost, with the reason."""
    work = Work(leave([]), "x", range(2), unit=16, arrived=list)
    events = dispatch(Simulated(2), [work])
    assert {each.index for each in events if isinstance(each, Lost)} == {0, 1}
    assert all("shared disk" in each.reason for each in events)


def test_after_an_interruption_what_has_come_is_taken_and_nothing_begins_anew():
    disk = []
    work = Work(leave(disk), "x", range(100), unit=16, arrived=lambda: [(index, index) for _, index in disk])
    executor = Simulated(3)
    dispatcher = Dispatcher(executor, executor.clock, executor.wait)
    dispatcher.add(work)
    events = []
    for event in dispatcher:
        events.append(event)
        if len(events) == 5:
            break
    calls = len(executor.calls)
    events += dispatcher.rest()
    assert values(events, work) == {index: index for _, index in disk}
    assert len(executor.calls) == calls
