"""Measures what members cost with a bank of prior samples, and without: common values of units of one layer.

    python benchmarks/bank.py
    python benchmarks/bank.py --units 3 17 --quantiles 0.75 --banks 0 2048 --samples 64 --regularizer lowpass --seed 1

Costs are in S, one prior sample: a forward pass is 1 S, an evaluation 3 S. A row is about the first 16, 64 or 256
samples of each run, over all units and targets. `alone` counts the whole bank to each run, `of 16` a sixteenth of it,
as in a sweep of sixteen units; `searched` is the cost of a sample that was searched for, without a share of the bank.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

import equidiff
from equidiff.run.record import Record
from equidiff.search.engine import MEMBER

COLUMNS = ("bank", "samples", "members", "from the bank", "searched S", "alone S", "of 16 S", "seconds")
SHARING = 16  # units that use one bank


@dataclass(frozen=True)
class Asked:
    """A run: a unit, its target as a percentile, and the bank."""

    unit: str
    target: str
    bank: int


def main() -> None:
    """Print a line for each bank and number of samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generator", default="toy:fashion")
    parser.add_argument("--objective", default="neuron:{}", help="with {} in the place of the unit")
    parser.add_argument("--units", nargs="+", default=["3", "17", "40"])
    parser.add_argument("--quantiles", nargs="+", type=float, default=[0.25, 0.75])
    parser.add_argument("--target", default=None, help="in place of quantiles")
    parser.add_argument("--query", default=None, help="in place of quantiles")
    parser.add_argument("--banks", nargs="+", type=int, default=[0, 256, 2048])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--counts", nargs="+", type=int, default=[16, 64, 256], help="prefixes to report")
    parser.add_argument("--regularizer", default="none")
    parser.add_argument("--solver", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("  ".join(name.ljust(13) for name in COLUMNS), flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("EQUIDIFF_CACHE", cache)
        for bank in arguments.banks:
            started = time.monotonic()
            runs = [records_of(arguments, asked) for asked in questions(arguments, bank)]
            seconds = (time.monotonic() - started) / len(runs)
            for count in (each for each in arguments.counts if each <= arguments.samples):
                row = measured([run[:count] for run in runs], bank) | {"samples": count, "seconds": seconds}
                rows.append(row)
                print("  ".join(show(row[name]).ljust(13) for name in COLUMNS), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def questions(arguments: argparse.Namespace, bank: int) -> list[Asked]:
    """The runs with one bank."""
    targets = [f"p{100 * quantile:g}" for quantile in arguments.quantiles]
    if arguments.target is not None or arguments.query is not None:
        targets = [arguments.target]
    return [Asked(unit, target, bank) for unit in arguments.units for target in targets]


def records_of(arguments: argparse.Namespace, asked: Asked) -> list[Record]:
    """The records of a run."""
    found = equidiff.sample(
        arguments.generator,
        arguments.objective.format(asked.unit),
        arguments.regularizer,
        arguments.solver,
        query=arguments.query,
        target=asked.target,
        samples=arguments.samples,
        bank=asked.bank,
        seed=arguments.seed,
        progress=False,
    )
    return list(found.records)


def measured(runs: list[list[Record]], bank: int) -> dict[str, object]:
    """A row of the table."""
    records = [record for run in runs for record in run]
    members = [record for record in records if record.status == MEMBER]
    searched = [record for record in records if record.source is None]
    spent = sum(3 * record.evaluations for record in records)
    each = max(len(members), 1)
    return {
        "bank": bank, "members": f"{len(members)} of {len(records)}",
        "from the bank": f"{(len(records) - len(searched)) / len(records):.0%}",
        "searched S": spent / max(len(searched), 1), "alone S": (spent + bank * len(runs)) / each,
        "of 16 S": (spent + bank * len(runs) / SHARING) / each,
    }  # fmt: skip


def show(value: object) -> str:
    """A cell."""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
