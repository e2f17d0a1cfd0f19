"""A finished sample as bytes: there and back, and bytes that are none of a sample."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from equidiff.errors import RunFolderError
from equidiff.run.packed import ROWS, pack, unpack
from equidiff.run.record import Called, Record
from equidiff.search.engine import StepRecord

RECORD = Record(7, "member", 2, 3.125, 1.5, 4.0, 0.25, 1 / 3, measurement=[0.1, -1e-30], called=Called(1, "shoe", 0.75))
STEPS = [StepRecord(7, 0, 1.0, 0.5), StepRecord(7, 1, 3.12345, 1e-4)]


def made_rows(value=0.5):
    return {
        "latents": torch.randn(1, 2, 3),
        "samples": torch.full((1, 1, 4, 4), value),
        "measurements": torch.tensor([[0.1, -1e-30]]),
    }


def test_there_and_back():
    rows = made_rows()
    record, found, steps = unpack(pack(RECORD, rows, STEPS))
    assert record == RECORD
    assert found.keys() == rows.keys()
    assert all(torch.equal(found[name], rows[name]) for name in ROWS)
    assert steps == [STEPS[0], replace(STEPS[1], evaluations=3.123)]  # as steps.jsonl has them


def test_a_failed_sample_has_no_rows():
    failed = Record(3, "failed", 0, 0.0, 0, 0, 0.0, error="line\u2028separator, \udce8 and \x00")
    assert unpack(pack(failed, None)) == (failed, None, [])


def test_the_same_sample_is_the_same_bytes():
    rows = made_rows()
    first = pack(RECORD, rows, STEPS)
    assert all(pack(RECORD, dict(reversed(rows.items())), iter(STEPS)) == first for _ in range(20))
    assert pack(*unpack(first)) == first


def test_rows_that_share_memory_or_are_of_another_type():
    point = torch.rand(1, 16, dtype=torch.float64, requires_grad=True)
    _, rows, _ = unpack(pack(RECORD, {"latents": point, "samples": point, "measurements": point[:, ::2]}))
    assert rows["measurements"].dtype == torch.float32
    torch.testing.assert_close(rows["measurements"], point[:, ::2].float().detach())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        save({}),
        save(made_rows()),
        save(made_rows(), {"sample": "{"}),
        save(made_rows(), {"sample": "[]"}),
        save(made_rows(), {"sample": "[" * 100_000}),
        save(made_rows(), {"sample": '{"record": {"index": 7}, "steps": []}'}),
        save({}, {"sample": pack(RECORD, made_rows())[8:300].decode("utf-8", "replace")}),
        pack(replace(RECORD, index=-1), made_rows()),
        pack(replace(RECORD, index=8), made_rows(), STEPS),
        pack(RECORD, None),
        pack(RECORD, {**made_rows(), "latents": torch.zeros(2, 3)}),
        pack(RECORD, {**made_rows(), "latents": torch.tensor(1.0)}),
    ],
)
def test_bytes_that_are_none_of_a_sample(data):
    with pytest.raises(RunFolderError, match="not a packed sample"):
        unpack(data)


GOOD = pack(RECORD, made_rows(), STEPS)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_are_an_error_or_a_sample(data):
    """No other error; a changed number is found by the checksum of the journal, not here."""
    place = data.draw(st.integers(0, len(GOOD) - 1))
    damaged = bytearray(GOOD)
    damaged[place] ^= data.draw(st.integers(1, 255))
    try:
        record, rows, _ = unpack(bytes(damaged[: data.draw(st.integers(0, len(GOOD)))]))
    except RunFolderError:
        return
    assert (rows is None) == (record.status == "failed")
