"""Inputs of its own: a network that takes dark garments on white, in colour, from 0 to 255."""

import torch
from torch import Tensor, nn

import equidiff


def prepare(samples: Tensor) -> Tensor:
    """Samples `[batch, 1, 28, 28]` in [0, 1] as the network was trained with them; differentiable."""
    return 255 * (1 - samples).expand(-1, 3, -1, -1)


torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 16, 5, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 64, 8))
objective = equidiff.layer(network, "3", preprocess=prepare)

found = equidiff.sample("toy", objective, query=3, samples=2)
print(found)
print(found.target.tolist())
