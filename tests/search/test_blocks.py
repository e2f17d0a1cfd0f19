"""Parts of a run: every sample is in exactly one of them, with its whole block."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equidiff.errors import UsageError
from equidiff.search.blocks import BLOCK, Share


@given(st.integers(1, 5000), st.integers(1, 320))
def test_the_parts_of_a_run_are_its_samples_once_each_in_whole_blocks(samples, of):
    blocks = -(-samples // BLOCK)
    if of > blocks:
        with pytest.raises(UsageError, match="cannot be divided"):
            Share(1, of).indices(samples)
        return
    shares = [Share(number, of).indices(samples) for number in range(1, of + 1)]
    assert [index for share in shares for index in share] == list(range(samples))
    assert all(share.start % BLOCK == 0 for share in shares)
    sizes = [-(-len(share) // BLOCK) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "1", "1/0", "-1/4", "a/b", "1/4/2", "", "1.5/4", "\u0661/\u0664", "1/99999999999999999999"]
)
def test_what_is_no_part_is_refused(text):
    with pytest.raises(UsageError, match="not a part"):
        Share.parse(text)


def test_a_part_reads_back_from_its_text():
    assert Share.parse(" 3/16 ") == Share(3, 16)
    assert str(Share(3, 16)) == "3/16"
