"""What every test starts from, those of the plugins included."""

import gc
import os

# pytest runs a process a core, so that more threads would only wait for each other; set before torch is imported, and
# in the environment, so that processes that a test starts keep to it too
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

from equidiff.run import prior

os.fsync = os.fstat  # no test can see a power cut: those about them watch what is synced
prior.MOST_KEPT = 16  # tests take turns with a few small generators, whose prior samples are made once each


def pytest_collectstart():
    """Collect no garbage while modules are imported: there is none."""
    gc.disable()


def pytest_collection_finish():
    """Leave the million objects of modules and tests out of every later collection of garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.fixture(autouse=True)
def _seed():
    """A test that draws without a seed of its own draws the same each time, whatever ran before it."""
    torch.manual_seed(0)
