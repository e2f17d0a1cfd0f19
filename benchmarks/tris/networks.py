"""The three networks of the benchmark, trained in seconds, and the generator that is fitted to the images alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.tris.data import SIDE, Data
from equidiff.contracts import Generator, Objective

EPOCHS, BATCH, RATE = 10, 512, 1e-2
SHRINKAGE = 0.01  # of the covariance, towards the same variance in every direction


def network(name: str) -> nn.Sequential:
    """A linear one (LLR), four layers (MLP), or three convolutions with pooling and a layer (CNN); two logits."""
    if name == "LLR":
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    if name == "MLP":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(),
            nn.Linear(16, 2),
        )  # fmt: skip
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip


def train(name: str, train_on: Data, validate_on: Data, seed: int) -> nn.Sequential:
    """Train by Adam, and keep the weights of the epoch that is best on the validation images."""
    torch.manual_seed(seed)
    model = network(name)
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    images, labels = as_tensors(train_on)
    best, kept = -1.0, {}
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
        if (found := accuracy(model, validate_on)) > best:
            best, kept = found, {key: value.clone() for key, value in model.state_dict().items()}
    model.load_state_dict(kept)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(model: nn.Module, data: Data) -> float:
    """Share of the images that a network classifies correctly."""
    return float(correct(model, data).float().mean())


@torch.no_grad()
def correct(model: nn.Module, data: Data) -> Tensor:
    """The images that a network classifies correctly, bool."""
    images, labels = as_tensors(data)
    return model(images).argmax(dim=1) == labels


def as_tensors(data: Data) -> tuple[Tensor, Tensor]:
    """The images `[n, 1, 8, 8]` and their classes."""
    return torch.from_numpy(data.images).reshape(-1, 1, SIDE, SIDE), torch.from_numpy(data.labels)


class Logits(Objective):
    """Both logits of a network."""

    names, unit = ("class 0", "class 1"), "logit"

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def measure(self, samples: Tensor) -> Tensor:
        """The logits, `[batch, 2]`."""
        return self._model(samples)

    def networks(self) -> list[nn.Module]:
        """The network."""
        return [self._model]


class Gaussian(Generator):
    """`mu + L z` with the mean and the covariance of images; it is told neither classes nor shapes."""

    latent_shape, sample_shape = (SIDE * SIDE,), (1, SIDE, SIDE)

    def __init__(self, data: Data) -> None:
        images = torch.from_numpy(data.images).double()
        self._mean = images.mean(dim=0)
        covariance = torch.cov(images.T)
        level = covariance.diagonal().mean()
        covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * level * torch.eye(SIDE * SIDE, dtype=torch.double)
        self._factor = torch.linalg.cholesky(covariance)

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        """`mu + L z`, `[batch, 1, 8, 8]`."""
        samples = self._mean.to(latents) + latents @ self._factor.to(latents).T
        return samples.reshape(-1, *self.sample_shape)

    def invert(self, samples: Tensor) -> Tensor:
        """The latents, exactly."""
        rows = samples.flatten(1).double() - self._mean
        return torch.linalg.solve_triangular(self._factor, rows.T, upper=False).T.to(samples)
