"""Networks that can be checked by hand, and samples for them."""

import torch
from torch import nn

from equidiff.contracts import Objective

SHAPE = (2, 6, 6)
WEIGHTS = torch.randn(1, 72, generator=torch.Generator().manual_seed(1))
SAMPLES = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(2))


class Asks(Objective):
    """A network's outputs."""

    unit = "logit"

    def __init__(self, network, shape=SHAPE):
        self._network = network.eval().requires_grad_(False)
        outputs = network(torch.zeros(1, *shape)).shape[1]
        self.names = tuple(f"class {index}" for index in range(outputs))

    def measure(self, samples):
        return self._network(samples)

    def networks(self):
        return [self._network]


def small_network(outputs=1):
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1, stride=2), nn.ReLU(inplace=True),
        nn.Flatten(), nn.Linear(45, outputs),
    )  # fmt: skip


def linear_network():
    layer = nn.Linear(72, 1)
    layer.weight.data, layer.bias.data = WEIGHTS.clone(), torch.tensor([0.3])
    return nn.Sequential(nn.Flatten(), layer)
