"""Samples of the invariant set of a pulsar classifier: HTRU2, the tabular task of the published experiments.

    python benchmarks/fibres/htru2.py
    python benchmarks/fibres/htru2.py --data HTRU_2.csv --full --json htru2.json --plot htru2.png

HTRU2 holds eight statistics of 17,898 pulsar candidates (Lyon et al. 2016; UCI, CC BY 4.0). It is not shipped: fetch
`htru2.zip` from https://archive.ics.uci.edu/dataset/372/htru2, and give its `HTRU_2.csv` to --data.

The features are standardised, and a fifth of each class is held out. Queries are drawn from it, and samples are
compared with the rest of it. A classifier (8-128-128-2, SiLU, balanced loss) gives two logits, and a member shares both
with its query. The generator is a denoiser. Both are trained here, in a few minutes on one thread, and kept in --cache.

benchmarks/fibres/measures.py says what the columns are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from compare import compare, parser_of
from denoiser import Denoised, Denoiser, kept, train_classifier, train_denoiser
from task import Task
from torch import Tensor, nn

from equidiff.contracts import Objective

HELD_OUT = 0.2
DATA = Path("../shared/bench/HTRU_2.csv")
FEATURES = 8


class Logits(Objective):
    """All outputs of a network.

    Args:
        network: maps samples to `[rows, outputs]`.
        outputs: how many.
    """

    unit = "logit"

    def __init__(self, network: nn.Module, outputs: int) -> None:
        self.names = tuple(f"logit {index}" for index in range(outputs))
        self._network = network

    def measure(self, samples: Tensor) -> Tensor:
        """`[rows, outputs]`."""
        return self._network(samples)


@dataclass(frozen=True)
class Table:
    """Standardised features, with the held-out rows apart.

    Attributes:
        train: `[rows, features]`.
        labels: of these.
        test: held out.
    """

    train: Tensor
    labels: Tensor
    test: Tensor


def read_table(path: Path) -> np.ndarray:
    """The rows of `HTRU_2.csv`: eight features and the label. The first line may name the columns."""
    with path.open(encoding="utf-8") as file:
        named = not file.readline()[:1].isdigit()
    return np.loadtxt(path, delimiter=",", skiprows=int(named))


def split(rows: np.ndarray, seed: int = 0) -> Table:
    """Hold out a fifth of each class, and standardise by the others."""
    random = np.random.default_rng(seed)
    held_out = np.zeros(len(rows), dtype=bool)
    for label in np.unique(rows[:, -1]):
        own = random.permutation(np.flatnonzero(rows[:, -1] == label))
        held_out[own[: round(HELD_OUT * len(own))]] = True
    features, labels = rows[:, :-1], rows[:, -1].astype(int)
    mean, spread = features[~held_out].mean(axis=0), features[~held_out].std(axis=0)
    scaled = torch.from_numpy((features - mean) / spread).float()
    test = scaled[torch.from_numpy(held_out)]
    return Table(scaled[torch.from_numpy(~held_out)], torch.from_numpy(labels[~held_out]), test)


def classifier() -> nn.Module:
    """Two logits, from the features; as published, without its dropout."""
    return nn.Sequential(nn.Linear(FEATURES, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 2))


def main() -> None:
    """Print the table."""
    parser = parser_of(__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="HTRU_2.csv")
    options = parser.parse_args()
    if not options.data.is_file():
        parser.error(f"there is no {options.data}; fetch it from https://archive.ics.uci.edu/dataset/372/htru2")
    table = split(read_table(options.data))
    torch.set_num_threads(1)
    task, passes = task_of(table, options.cache, options.queries or (150 if options.full else 12), options.tolerance)
    compare(task, passes, statistics, options)


def task_of(
    table: Table, cache: Path, queries: int, tolerance: float, updates: tuple[int, int] = (3000, 8000), seed: int = 0
) -> tuple[Task, int]:
    """The task, and the denoiser passes of a prior sample.

    Args:
        table: the data.
        cache: of trained networks.
        queries: how many.
        tolerance: of members.
        updates: of the training of the classifier and of the denoiser.
        seed: of the choice of queries.
    """
    judge = kept(
        cache / "htru2-classifier.safetensors",
        classifier(),
        lambda: train_classifier(table.train, table.labels, classifier(), updates[0]),
    )
    denoiser = kept(
        cache / "htru2-denoiser.safetensors", Denoiser(FEATURES), lambda: train_denoiser(table.train, updates[1])
    )
    order = torch.randperm(len(table.test), generator=torch.Generator().manual_seed(seed))
    chosen, rest = table.test[order[:queries]], table.test[order[queries:]]
    generator = Denoised(denoiser)
    return Task(generator, Logits(judge, 2), chosen, rest, table.train, tolerance), generator.steps


def statistics(rows: Tensor) -> Tensor:
    """Each feature, the distance to the row's mean, and a random projection, `[queries, draws, 10]`."""
    away = (rows - rows.mean(dim=1, keepdim=True)).norm(dim=2, keepdim=True)
    direction = torch.randn(rows.shape[2], generator=torch.Generator().manual_seed(0))
    return torch.cat([rows, away, (rows @ direction)[..., None]], dim=2)


if __name__ == "__main__":
    main()
