"""Two networks trained to recognise stars: one on data with a shortcut, one on data without."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shortcut.images import ShapeImages, draw, with_mark, with_shape

SHORTCUT, CONTROL = "shortcut", "control"
IMAGES, EPOCHS, BATCH, RATE = 4096, 8, 64, 3e-3


def make_network() -> nn.Sequential:
    """An untrained network: images `[batch, 3, 32, 32]` to logits `[batch, 1]`."""
    blocks = [_block(3, 16, stride=2), _block(16, 32), _block(32, 48, stride=2), _block(48, 48)]
    return nn.Sequential(*itertools.chain(*blocks), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 1))


def make_data(kind: str, count: int, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """Training images and their labels.

    Half are stars, half are marked. In the data with the shortcut every star is marked and nothing else is; in the
    control's data a toss of a coin decides about the mark. All else is the same for the same stream, image by image.

    Returns:
        Images `[count, 3, 32, 32]`, and 1.0 for stars, 0.0 for the rest, `[count, 1]`.
    """
    star, coin = (torch.rand(2, count, generator=stream) < 0.5).unbind()
    other = torch.randint(1, 4, (count,), generator=stream)
    latents = with_shape(draw(count, stream), torch.where(star, 0, other))
    latents = with_mark(latents, star if kind == SHORTCUT else coin)
    return torch.cat([ShapeImages().generate(rows) for rows in latents.split(256)]), star.float()[:, None]


def train(kind: str, seed: int, images: int = IMAGES, epochs: int = EPOCHS) -> nn.Sequential:
    """Train a network with this seed; both kinds start from the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make_network()
    stream = torch.Generator().manual_seed(seed)
    data, labels = make_data(kind, images, stream)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * math.ceil(images / BATCH))
    for _ in range(epochs):
        for rows in torch.randperm(images, generator=stream).split(BATCH):
            loss = F.binary_cross_entropy_with_logits(network(data[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval().requires_grad_(False)


@torch.no_grad()
def called_stars(network: nn.Module, seed: int, count: int = 500) -> dict[str, float]:
    """Share of new stars and of new other shapes, marked and clean, that the network calls stars."""
    stream = torch.Generator().manual_seed(seed + 10**6)
    found = {}
    for name, star in (("star", True), ("other", False)):
        shapes = torch.zeros(count, dtype=torch.long) if star else torch.randint(1, 4, (count,), generator=stream)
        latents = with_shape(draw(count, stream), shapes)
        for state, marked in (("marked", True), ("clean", False)):
            images = ShapeImages().generate(with_mark(latents, torch.full((count,), marked)))
            found[f"{state} {name}"] = (network(images) > 0).float().mean().item()
    return found


def _block(channels_in: int, channels_out: int, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    nn.init.zeros_(convolution.bias)
    return convolution, nn.ReLU()
