"""Train a flow of the rows of HTRU2 and a classifier of them, in about a minute on one thread.

    python examples/pulsars/train.py --data HTRU_2.csv

HTRU2 holds eight statistics of 17,898 pulsar candidates, of which 1,639 are pulsars (Lyon et al. 2016, CC BY 4.0).
Fetch `htru2.zip` from https://archive.ics.uci.edu/dataset/372/htru2, and give its `HTRU_2.csv` to --data.

A fifth of each class is held out. The classifier is trained with a balanced loss, on standardised columns. The flow is
trained by flow matching, on columns whose quantiles have been made normal.

References:
    Lyon, Stappers, Cooper, Brooke and Knowles (2016), "Fifty years of pulsar candidate selection".
        https://arxiv.org/abs/1603.05166
    Lipman, Chen, Ben-Hamu, Nickel and Le (2023), "Flow matching for generative modeling".
        https://arxiv.org/abs/2210.02747
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pulsars import CLASSES, COLUMNS, REACH, WEIGHTS, Model, Rows
from safetensors.torch import save_file
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr
from scipy.stats import wasserstein_distance
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

HELD_OUT = 0.2
QUERIES = 4  # of each class


class Table(NamedTuple):
    """Rows and their labels, 0 or 1.

    Attributes:
        train: `[rows, columns]`.
        labels: of these.
        test: rows that are held out.
        test_labels: of these.
    """

    train: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray


def read_table(path: Path) -> np.ndarray:
    """All numbers of a CSV file. The first line may name the columns; the last column is the label."""
    with path.open(encoding="utf-8") as file:
        named = not file.readline()[:1].isdigit()
    return np.loadtxt(path, delimiter=",", skiprows=int(named))


def split(rows: np.ndarray, seed: int = 0) -> Table:
    """Hold out a fifth of each class."""
    random = np.random.default_rng(seed)
    held_out = np.zeros(len(rows), dtype=bool)
    for label in (0, 1):
        own = random.permutation(np.flatnonzero(rows[:, -1] == label))
        held_out[own[: round(HELD_OUT * len(own))]] = True
    train, test = rows[~held_out], rows[held_out]
    return Table(train[:, :-1], train[:, -1], test[:, :-1], test[:, -1])


def fit_scale(model: Model, rows: np.ndarray) -> np.ndarray:
    """Draw the curves of the columns through their quantiles, and make the rows normal by them."""
    knots = np.linspace(-REACH, REACH, model.scale.values.shape[1])
    levels = ndtr(knots)
    levels[0], levels[-1] = 0, 1  # the ends of the data
    normal = np.empty_like(rows)
    for index, column in enumerate(rows.T):
        values = np.quantile(column, levels)
        values = np.maximum.accumulate(values + 1e-9 * np.ptp(column) * np.arange(len(knots)))  # no two the same
        slopes = PchipInterpolator(knots, values).derivative()(knots)
        model.scale.values[index] = torch.from_numpy(values)
        model.scale.slopes[index] = torch.from_numpy(slopes * (knots[1] - knots[0]))
        fine = np.linspace(-REACH, REACH, 20_001)
        normal[:, index] = np.interp(column, PchipInterpolator(knots, values)(fine), fine)
    return normal


def train_flow(model: Model, normal: Tensor, updates: int, batch: int) -> None:
    """Train the flow by flow matching, and keep the average of its weights over time."""
    optimizer = torch.optim.AdamW(model.flow.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    average = AveragedModel(model.flow, multi_avg_fn=get_ema_multi_avg_fn(0.998))
    for _ in range(updates):
        clean = normal[torch.randint(len(normal), (batch,))]
        noise, times = torch.randn_like(clean), torch.rand(len(clean))
        states = (1 - times[:, None]) * noise + times[:, None] * clean
        loss = (model.flow(states, times) - (clean - noise)).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        average.update_parameters(model.flow)
    model.flow.load_state_dict(average.module.state_dict())


def train_classifier(model: Model, rows: Tensor, labels: Tensor, updates: int, batch: int) -> None:
    """Train the classifier with a loss in which both classes weigh the same."""
    model.mean.copy_(rows.mean(dim=0))
    model.spread.copy_(rows.std(dim=0))
    balance = (labels == 0).sum() / (labels == 1).sum()
    optimizer = torch.optim.AdamW(model.classifier.parameters(), lr=1e-3, weight_decay=1e-3)
    for _ in range(updates):
        chosen = torch.randint(len(rows), (batch,))
        logits = model.logit(rows[chosen])[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels[chosen], pos_weight=balance)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def train(table: Table, updates: int, batch: int = 256, seed: int = 0) -> Model:
    """Train everything. Queries are held-out rows, those of both classes in turn."""
    torch.manual_seed(seed)
    model = Model(table.train.shape[1], 2 * QUERIES)
    train_flow(model, torch.from_numpy(fit_scale(model, table.train)).float(), updates, batch)
    rows, labels = (torch.from_numpy(each).float() for each in (table.train, table.labels))
    train_classifier(model, rows, labels, updates // 2, batch)
    kept = [np.flatnonzero(table.test_labels == label)[:QUERIES] for label in (1, 0)]
    model.queries.copy_(torch.from_numpy(table.test[np.stack(kept, axis=1).ravel()]))
    return model.eval().requires_grad_(False)


def describe(model: Model, table: Table) -> str:
    """How good both are on held-out rows."""
    logits = model.logit(torch.from_numpy(table.test).float())[:, 0].numpy()
    right = [((logits > 0) == table.test_labels)[table.test_labels == label].mean() for label in (0, 1)]
    latents = torch.randn(len(table.test), table.test.shape[1], generator=torch.Generator().manual_seed(1))
    made = Rows(model).generate(latents).numpy()
    spread = table.train.std(axis=0)
    away, own = (distance(rows / spread, table.test / spread) for rows in (made, table.train))
    accuracy = ", ".join(f"{100 * share:.1f} % of {name}" for name, share in zip(CLASSES, right, strict=True))
    return (
        f"classifier, held-out rows: {accuracy} right, AUC {roc_auc_score(table.test_labels, logits):.3f}\n"
        f"flow: its columns are {away:.3f} standard deviations from those of held-out rows, training rows {own:.3f} "
        "(mean Wasserstein distance)\n"
        f"called pulsar: {100 * float((model.logit(torch.from_numpy(made)) > 0).float().mean()):.1f} % of its rows, "
        f"{100 * (logits > 0).mean():.1f} % of held-out ones"
    )


def distance(rows: np.ndarray, others: np.ndarray) -> float:
    """Mean of the Wasserstein distances between the columns of two tables."""
    return float(np.mean([wasserstein_distance(one, other) for one, other in zip(rows.T, others.T, strict=True)]))


def main() -> None:
    """Train, say how good it is, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="HTRU_2.csv")
    parser.add_argument("--updates", type=int, default=12_000, help="of the flow; the classifier has half of them")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help=f"default: {WEIGHTS.name} beside this file")
    options = parser.parse_args()
    rows = read_table(options.data)
    if rows.shape[1] != len(COLUMNS) + 1 or not np.isin(rows[:, -1], (0, 1)).all():
        parser.error(f"{options.data} has not {len(COLUMNS)} columns and a label that is 0 or 1")
    torch.set_num_threads(1)
    started, table = time.monotonic(), split(rows)
    model = train(table, options.updates)
    print(f"trained in {time.monotonic() - started:.0f} s\n{describe(model, table)}")
    source = "HTRU2, R. Lyon, UCI Machine Learning Repository, doi:10.24432/C5DK6R, CC BY 4.0"
    save_file(model.state_dict(), options.out, metadata={"data": source, "columns": ", ".join(COLUMNS)})
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
