"""Runs the methods of a task, prints its table, and draws it."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from measures import Statistics, measure, without_queries
from methods import run_method
from task import Task, prior_samples
from torch import Tensor

COLUMNS = {
    "method": 24, "members": 8, "fibre L2": 8, "median": 8, "passes": 7, "S": 7, "ranked": 6, "chi2/df": 7, "p": 7,
    "W1": 7, "nearest %": 9, "AUC": 6, "seconds": 7,
}  # fmt: skip
QUICK = ("bank", "auto", "auto+conditional,moves=12", "ndtm,gamma=10")
FULL = ("bank", "auto", "auto+conditional", "lbfgs", "infinite,optimizer=adam,lr=0.05", "ndtm,gamma=2", "ndtm,gamma=5",
        "ndtm,gamma=10")  # fmt: skip
Extra = Callable[[Tensor], dict[str, float]]
COLOURS = ("#000000", "#0072B2", "#56B4E9", "#009E73", "#F0E442", "#E69F00", "#D55E00", "#CC79A7")


def parser_of(description: str) -> argparse.ArgumentParser:
    """The options that both tasks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--full", action="store_true", help="150 queries and all methods, as in the documentation")
    parser.add_argument("--queries", type=int, help="held-out samples that are asked about; 12, or 150 with --full")
    parser.add_argument("--samples", type=int, default=4, help="of each query")
    parser.add_argument("--methods", nargs="+", help="specs of solvers, with +LAW a law's, or `bank`")
    parser.add_argument("--bank", type=int, help="prior samples of `bank`; 1024, or 8192 with --full")
    parser.add_argument("--tolerance", type=float, default=0.01, help="of members, a part of the outputs' spread")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "equidiff-fibres", help="of networks")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of queries")
    parser.add_argument("--json", type=Path, help="rows are added to those that are there, or take their place")
    parser.add_argument("--plot", type=Path, help="of all rows in the JSON, or of this run's")
    return parser


def no_more(samples: Tensor) -> dict[str, float]:
    """No further columns."""
    return {}


def compare(
    task: Task, passes: int, statistics: Statistics, options: argparse.Namespace, extra: Extra = no_more
) -> list[dict[str, Any]]:
    """Print a line for each method.

    Args:
        task: the queries.
        passes: denoiser passes of a prior sample.
        statistics: that are ranked; see `measures.measure`.
        options: of `parser_of`.
        extra: maps samples `[rows, *sample_shape]` to further columns.
    """
    torch.set_num_threads(1)
    count = len(task.queries) * options.samples
    first = {"data": task.reference[:count], "prior": prior_samples(task.generator, count)}
    widths = COLUMNS | dict.fromkeys(extra(first["data"]), 9)
    print(f"{len(task.queries)} queries x {options.samples}; a member has a fibre L2 below {limit_of(task):.4f}")
    print("  ".join(name.ljust(width) for name, width in widths.items()), flush=True)
    for name, samples in first.items():
        reference = task.reference[count:] if name == "data" else task.reference
        print_row(without_queries(name, task, samples, reference) | extra(samples), widths)
    rows: list[dict[str, Any]] = []
    if options.json and options.json.exists():
        rows = json.loads(options.json.read_text())
    for name in options.methods or (FULL if options.full else QUICK):
        found = run_method(name, task, options.samples, options.bank or (8192 if options.full else 1024))
        row = measure(task, found, passes, statistics) | extra(found.samples.flatten(0, 1))
        rows = [old for old in rows if old["method"] != name] + [row]
        print_row(row, widths)
        if options.json:  # after each method: the table takes long
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.plot:
        draw(rows, options.plot)
    return rows


def limit_of(task: Task) -> float:
    """The largest fibre distance of a member."""
    return math.sqrt(task.loss / task.targets.shape[1])


def print_row(row: dict[str, Any], widths: dict[str, int]) -> None:
    """A line of the table."""
    print("  ".join(show(row[key]).ljust(width) for key, width in widths.items()), flush=True)


def show(value: object) -> str:
    """A cell."""
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Distance against cost, and the ranks of the queries among their samples."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 4))
    bins = max((len(row["ranks"]) for row in rows if row["ranks"]), default=1)
    for number, row in enumerate(rows):
        colour = COLOURS[number % len(COLOURS)]
        left.plot(row["passes"], row["fibre L2"], "o", color=colour, ms=8, label=row["method"])
        left.plot(row["passes"], row["median"], "o", color=colour, ms=8, mfc="none")
        if row["ranks"]:
            right.plot(range(bins), [bins * each for each in row["ranks"]], "o-", color=colour, lw=1.5, ms=4)
    left.set(
        xlabel="denoiser passes a sample", ylabel="fibre L2: mean (filled), median (open)", xscale="log", yscale="log"
    )
    left.grid(alpha=0.3)
    right.axhline(1, color="black", lw=0.8)
    right.set(xlabel="rank of the query among its samples", ylabel="queries, relative to uniform", ylim=(0, None))
    right.set_xticks(range(bins))
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=120)
