"""What every test starts from, those of the plugins included."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    """A test that draws without a seed of its own draws the same each time, whatever ran before it."""
    torch.manual_seed(0)
