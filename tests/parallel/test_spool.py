"""Samples on a shared disk: read once, as they come, whatever is torn; and found again by a call that goes on."""

import pytest

from equidiff.parallel.spool import Address, CallFile, Spool, left_behind

pytestmark = pytest.mark.faults


def test_what_has_come_is_read_once(tmp_path):
    spool = Spool(tmp_path / "workers")
    first, second = CallFile(spool.address, range(16)), CallFile(spool.address, range(16, 32))
    first.append(3, b"three")
    assert list(spool.arrived()) == [(3, b"three")]
    assert list(spool.arrived()) == []
    second.append(17, b"seventeen")
    first.append(4, b"four" * 1000)
    assert sorted(spool.arrived()) == [(4, b"four" * 1000), (17, b"seventeen")]
    assert (first.finished(), second.finished()) == ({3, 4}, {17})


def test_a_frame_that_is_being_written_is_read_when_it_is_whole(tmp_path):
    spool = Spool(tmp_path / "workers")
    file = CallFile(spool.address, [5])
    file.append(5, b"five")
    (path,) = (tmp_path / "workers").glob("*.frames")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert list(spool.arrived()) == []
    path.write_bytes(whole)
    assert list(spool.arrived()) == [(5, b"five")]


def test_a_worker_that_sees_another_disk_knows_it(tmp_path):
    spool = Spool(tmp_path / "workers")
    assert spool.address.is_reachable()
    assert not Address(spool.address.path, "another token").is_reachable()
    assert not Address(str(tmp_path / "elsewhere"), spool.address.token).is_reachable()


def test_a_call_that_was_ended_goes_on_where_others_begin_anew(tmp_path):
    """The files of a call are found by what it was asked for, whoever wrote them."""
    address = Spool(tmp_path / "workers").address
    CallFile(address, [0, 1, 2]).append(1, b"one")
    assert CallFile(address, [0, 1, 2]).finished() == {1}
    assert CallFile(address, [0, 2]).finished() == set()


def test_what_is_left_is_read_without_damage(tmp_path):
    spool = Spool(tmp_path / "workers")
    file = CallFile(spool.address, [0, 1, 2])
    for index in range(3):
        file.append(index, b"sample %d" % index)
    (path,) = (tmp_path / "workers").glob("*.frames")
    data = bytearray(path.read_bytes())
    data[data.index(b"sample 1") + 7] ^= 1
    path.write_bytes(data)
    assert list(left_behind(tmp_path)) == [b"sample 0", b"sample 2"]
    spool.remove()
    assert list(left_behind(tmp_path)) == []
