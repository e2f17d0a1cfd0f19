"""The contract check of executors: the built-in ones pass, and each breakage is caught."""

import pytest

from equidiff.builtin.executors.inline import Inline
from equidiff.contracts import Executor
from equidiff.testing import ContractError, check_executor


class Wrapped(Executor):
    """The executor `inline`, with something changed."""

    def __init__(self, **changed):
        self._inline = Inline()
        self.workers = 2
        vars(self).update(changed)

    def submit(self, function, /, *args):
        return self._inline.submit(function, *args)

    def shutdown(self, *, wait=True, cancel_futures=False):
        self._inline.shutdown()


class Deaf(Wrapped):
    def shutdown(self, *, wait=True, cancel_futures=False):
        pass


class Forgetful(Wrapped):
    def submit(self, function, /, *args):
        return self._inline.submit(function, *args[:1], 3) if args[1:] else self._inline.submit(function, *args)


class Eager(Wrapped):
    def submit(self, function, /, *args):
        return function(*args)


class Calm(Wrapped):
    def submit(self, function, /, *args):
        future = self._inline.submit(function, *args)
        return self._inline.submit(str) if future.exception() else future


def test_a_sound_executor_passes():
    check_executor(Wrapped())


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (object(), "is not an Executor"),
        (Wrapped(workers=0), "workers is 0"),
        (Wrapped(workers=2.0), "workers is 2.0"),
        (Wrapped(costly=None), "costly is None"),
        (Deaf(), "after its shutdown"),
        (Forgetful(), "gives the results"),
        (Eager(), "submit gives a int"),
        (Calm(), "for a call that raises"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_broken_executor_is_caught(broken, message):
    with pytest.raises(ContractError, match=message):
        check_executor(broken)
