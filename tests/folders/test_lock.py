"""Owners of locks, as strangers may have written them."""

import json

import pytest

from equidiff.folders.lock import Owner


@pytest.mark.parametrize("pid", ["x", None, [1], 1.5, -5, 0, 2**31, 10**12, 2**63])
def test_what_cannot_be_a_process_is_no_owner(pid, tmp_path):
    this = vars(Owner.this())
    (tmp_path / "owner.json").write_text(json.dumps(this))
    assert not Owner.read(tmp_path / "owner.json").is_dead
    for wrong in ({"pid": pid}, {"host": 3}, {"boot": None}):
        (tmp_path / "owner.json").write_text(json.dumps(this | wrong))
        assert Owner.read(tmp_path / "owner.json") is None
