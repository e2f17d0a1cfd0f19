"""What every test starts from, those of the plugins included."""

import os

# pytest runs a process a core, so that more threads would only wait for each other; set before torch is imported, and
# in the environment, so that processes that a test starts keep to it too
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed():
    """A test that draws without a seed of its own draws the same each time, whatever ran before it."""
    torch.manual_seed(0)
