"""Samples of the invariant set of a network that sees no colour, whose law is known: colorMNIST, made anew.

    python benchmarks/fibres/colormnist.py
    python benchmarks/fibres/colormnist.py --full --json colormnist.json --plot colormnist.png

Grey digits are coloured as published: each channel of the background is drawn from
0.6 N(0.7, 0.08) + 0.35 N(0.5, 0.015) + 0.05 N(0.1, 0.02), and the foreground is the background + 0.5, modulo 1. The
digits are the 1,797 of 8 x 8 pixels that come with scikit-learn (UCI, Alpaydin and Kaynak 1998, CC BY 4.0), in the
place of EMNIST's of 28 x 28. A fifth is held out.

The network under examination undoes the colours and maps the grey digit to four numbers, trained to tell the digits. So
members share the four numbers with their query, and their colours have the law above, whatever the query: that is the
published measure of consistency. The generator is a denoiser of the first 96 principal components, which hold 98.7 % of
the variance. All is trained here and kept in --cache.

The columns are those of benchmarks/fibres/measures.py, and of the colours: W1, the mean over channels of the
1-Wasserstein distance of the background to its law, and dev, how far the foreground is from where it belongs.
"""

from __future__ import annotations

from pathlib import Path

import torch
from compare import compare, parser_of
from denoiser import Denoised, Denoiser, kept, train_classifier, train_denoiser
from htru2 import HELD_OUT, Logits
from sklearn.datasets import load_digits
from task import Task
from torch import Tensor, nn

WEIGHTS, CENTRES, SPREADS = (0.6, 0.35, 0.05), (0.7, 0.5, 0.1), (0.08, 0.015, 0.02)
SIDE, COMPONENTS, OUTPUTS = 8, 96, 4
COPIES = 20  # colours of each digit that is trained on
LIMIT = 5  # of the components that the guided sampler predicts, as published


def main() -> None:
    """Print the table."""
    options = parser_of(__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    task, passes = task_of(options.cache, options.queries or (150 if options.full else 12), options.tolerance)
    compare(task, passes, statistics, options, colour_measures)


def task_of(
    cache: Path, queries: int, tolerance: float, updates: tuple[int, int] = (3000, 12000), seed: int = 0
) -> tuple[Task, int]:
    """The task, and the denoiser passes of a prior sample; see `htru2.task_of`."""
    digits = load_digits()
    grey, labels = torch.from_numpy(digits.images).float() / 16, torch.from_numpy(digits.target)
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(grey), generator=random)
    held_out, rest = order[: round(HELD_OUT * len(grey))], order[round(HELD_OUT * len(grey)) :]
    train = coloured(grey[rest].repeat(COPIES, 1, 1), random)
    test = coloured(grey[held_out], random)
    subject = kept(
        cache / "colormnist-subject.safetensors",
        Subject(),
        lambda: train_classifier(train, labels[rest].repeat(COPIES), Subject(), updates[0]),
    )
    decode, components = principal_components(train)
    denoiser = kept(
        cache / "colormnist-denoiser.safetensors",
        Denoiser(COMPONENTS, 256),
        lambda: train_denoiser(components, updates[1], 256),
    )
    generator = Denoised(denoiser, decode, limit=LIMIT)
    objective = Logits(Embedding(subject), OUTPUTS)
    return Task(generator, objective, test[:queries], test[queries:], train[: len(rest)], tolerance), generator.steps


class Subject(nn.Module):
    """Ten logits of a coloured digit, from four numbers, from the digit without its colours."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(SIDE**2, 128), nn.SiLU(), nn.Linear(128, OUTPUTS))
        self.head = nn.Sequential(nn.SiLU(), nn.Linear(OUTPUTS, 10))

    def forward(self, images: Tensor) -> Tensor:
        """`[rows, 10]`."""
        return self.head(self.embed(without_colour(images).flatten(1)))


class Embedding(nn.Module):
    """The four numbers of a subject."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.subject = subject

    def forward(self, images: Tensor) -> Tensor:
        """`[rows, 4]`."""
        return self.subject.embed(without_colour(images).flatten(1))


class Affine(nn.Module):
    """Images from their principal components, each of which has the variance 1.

    Args:
        mean: `[pixels]`.
        directions: `[components, pixels]`, scaled.
    """

    def __init__(self, mean: Tensor, directions: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("directions", directions)

    def forward(self, components: Tensor) -> Tensor:
        """`[rows, 3, side, side]`."""
        return (components @ self.directions + self.mean).unflatten(1, (3, SIDE, SIDE))


def principal_components(images: Tensor) -> tuple[Affine, Tensor]:
    """The map back to images, and the components of these, `[rows, components]`."""
    flat = images.flatten(1)
    mean = flat.mean(dim=0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    directions, scales = vectors[:, -COMPONENTS:], values[-COMPONENTS:].sqrt()
    return Affine(mean, (directions * scales).T.contiguous()), (flat - mean) @ directions / scales


def backgrounds(count: int, random: torch.Generator) -> Tensor:
    """Backgrounds by the published law, `[count, 3]`."""
    chosen = torch.multinomial(torch.tensor(WEIGHTS), 3 * count, replacement=True, generator=random)
    noise = torch.randn(3 * count, generator=random)
    return (torch.tensor(CENTRES)[chosen] + torch.tensor(SPREADS)[chosen] * noise).reshape(count, 3)


def coloured(grey: Tensor, random: torch.Generator) -> Tensor:
    """Coloured digits `[rows, 3, side, side]` in [0, 1], from grey ones `[rows, side, side]`."""
    behind = backgrounds(len(grey), random)[:, :, None, None]
    return (behind + grey[:, None] * ((behind + 0.5) % 1 - behind)).clamp(0, 1)


def background_of(images: Tensor) -> Tensor:
    """The colour of the first column, where no digit is, `[..., 3]`."""
    return images[..., 0].mean(dim=-1)


def without_colour(images: Tensor) -> Tensor:
    """The digit, 0 where the background is and 1 where the foreground should be, `[rows, side, side]`."""
    behind = background_of(images)[:, :, None, None]
    return ((images - behind) / ((behind + 0.5) % 1 - behind)).abs().mean(dim=1)


def statistics(rows: Tensor) -> Tensor:
    """The background's channels, the digit's brightness, the distance to the row's mean, and four projections."""
    flat = rows.flatten(2)
    away = (flat - flat.mean(dim=1, keepdim=True)).norm(dim=2, keepdim=True)
    bright = without_colour(rows.flatten(0, 1)).mean(dim=(1, 2)).unflatten(0, rows.shape[:2])[..., None]
    directions = torch.randn(flat.shape[2], 4, generator=torch.Generator().manual_seed(0))
    return torch.cat([background_of(rows), bright, away, flat @ directions], dim=2)


def colour_measures(images: Tensor) -> dict[str, float]:
    """The published measures of consistency, of images `[rows, 3, side, side]`."""
    law = backgrounds(20_000, torch.Generator().manual_seed(1)).flatten()
    levels = (torch.arange(500) + 0.5) / 500
    away = [(each.quantile(levels) - law.quantile(levels)).abs().mean() for each in background_of(images).T]
    foreground = without_colour(images).flatten(1).amax(dim=1)
    return {"colour W1": float(torch.stack(away).mean()), "dev": float((foreground - 1).abs().mean())}


if __name__ == "__main__":
    main()
