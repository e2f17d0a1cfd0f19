"""A classifier of digits of ordinary training, on other digits than the DDPM's: those of scikit-learn, 8x8, enlarged.

References:
    Alpaydin and Kaynak (1998), "Optical recognition of handwritten digits", UCI, CC BY 4.0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equidiff.contracts import Objective

EPOCHS, BATCH, RATE = 30, 64, 2e-3
HELD_OUT = 300


class Reader(nn.Module):
    """Three convolutions with max pooling, two linear layers; nothing smooths it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.hidden = nn.Sequential(nn.Linear(64 * 49, 64), nn.ReLU())
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[batch, 10]` of images `[batch, 1, 28, 28]` in [0, 1]."""
        return self.head(self.hidden(self.features(images)))


class Output(Objective):
    """Logits, or values of the hidden layer.

    Args:
        network: the classifier.
        outputs: which of them.
        hidden: of the hidden layer.
    """

    unit = "logit"

    def __init__(self, network: Reader, outputs: list[int], hidden: bool = False) -> None:
        self.names = tuple(map(str, outputs))
        self._network, self._outputs, self._hidden = network, outputs, hidden

    def measure(self, samples: Tensor) -> Tensor:
        """`[batch, outputs]`."""
        values = self._network.hidden(self._network.features(samples)) if self._hidden else self._network(samples)
        return values[:, self._outputs]


def train_reader(seed: int = 0) -> tuple[Reader, float]:
    """Train one, in about half a minute; and the share of held-out digits that it reads."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images, labels = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16, torch.tensor(found.target)
    images = F.pad(F.interpolate(images, (20, 20), mode="bicubic").clamp(0, 1), (4, 4, 4, 4))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        order = torch.randperm(len(images))
        held, seen = order[:HELD_OUT], order[HELD_OUT:]
        network = Reader()
        optimiser = torch.optim.Adam(network.parameters(), RATE)
        for _ in range(EPOCHS):
            for rows in seen[torch.randperm(len(seen))].split(BATCH):
                optimiser.zero_grad()
                F.cross_entropy(network(images[rows]), labels[rows]).backward()
                optimiser.step()
    network.eval().requires_grad_(False)
    with torch.no_grad():
        right = (network(images[held]).argmax(1) == labels[held]).float().mean().item()
    return network, right
