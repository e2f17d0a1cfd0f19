"""The executors that ship keep their contract."""

from equidiff.builtin.executors.inline import Inline
from equidiff.testing import check_executor


def test_inline_keeps_its_contract():
    check_executor(Inline())


def test_inline_does_each_call_at_once():
    done = []
    Inline().submit(done.append, 1)
    assert done == [1]
