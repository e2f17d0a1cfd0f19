"""Shows that a change of the code changes no result: the same runs before and after it, compared bit by bit.

    python benchmarks/same_runs.py make BEFORE      # at one commit
    python benchmarks/same_runs.py make AFTER       # at the other
    python benchmarks/same_runs.py compare BEFORE AFTER

Needs the plugins `equidiff-lightningdit` and `equidiff-sae`. Both commits must run on the same machine: another
processor rounds otherwise.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import torch

from equidiff.run.invariant_set import InvariantSet

RUNS = {
    "default": ["--seed", "0"],
    "classifier": ["-o", "classifier", "-n", "4"],
    "circles": ["-g", "toy:circles", "-o", "classifier:inner", "-n", "32"],
    "conditional": ["--law", "conditional", "-n", "4"],
    "lightningdit-sae": ["-g", "lightningdit:fashion", "-o", "sae:17", "-n", "2", "--budget", "16"],
}
SAME = ("members.jsonl", "steps.jsonl")
CLOCK = {"wall_s"}  # the only thing in these files that may differ
WHEN = {"started", "finished", "wall_s"}  # and in run.json


def make(folder: Path) -> None:
    """Make all runs, each in a process of its own."""
    for name, arguments in RUNS.items():
        command = [sys.executable, "-m", "equidiff", "run", *arguments, "--out", str(folder / name)]
        code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        print(f"{name:18} exit code {code}")


def compare(before: Path, after: Path) -> bool:
    """Print what differs between the runs of two folders; True where nothing does."""
    same = True
    for name in RUNS:
        differences = [*_tensors(before / name, after / name), *_lines(before / name, after / name)]
        differences += _info(before / name, after / name)
        same = same and not differences
        print(f"{name:18} {'equal bit by bit' if not differences else '; '.join(differences)}")
    return same


def equal(one: Path, other: Path) -> bool:
    """True where two runs have the same records, but for seconds, and the same tensors, bit for bit."""
    a, b = (InvariantSet.load(path) for path in (one, other))
    same = [replace(record, wall_s=0) for record in a.records] == [replace(record, wall_s=0) for record in b.records]
    return same and all(
        torch.equal(getattr(a, name), getattr(b, name)) for name in ("latents", "samples", "measurements")
    )


def _tensors(before: Path, after: Path) -> list[str]:
    one, other = (_all_tensors(InvariantSet.load(run)) for run in (before, after))
    if one.keys() != other.keys():
        return [f"tensors {sorted(one)} against {sorted(other)}"]
    # compared as bytes: what is not a number equals itself here
    return [
        f"{name} differs"
        for name in one
        if one[name].shape != other[name].shape
        or not torch.equal(one[name].contiguous().view(torch.uint8), other[name].contiguous().view(torch.uint8))
    ]


def _all_tensors(found: InvariantSet) -> dict[str, torch.Tensor]:
    of_query = {"query": found.query, "query_latent": found.query_latent}
    return {**found.rows, **{name: value for name, value in of_query.items() if value is not None}}


def _lines(before: Path, after: Path) -> list[str]:
    differences = []
    for file in SAME:
        one, other = (
            [{k: v for k, v in json.loads(line).items() if k not in CLOCK} for line in (run / file).open()]
            for run in (before, after)
        )
        if one != other:
            differences.append(f"{file} differs in {sum(a != b for a, b in zip(one, other, strict=False))} lines")
    return differences


def _info(before: Path, after: Path) -> list[str]:
    one, other = (json.loads((run / "run.json").read_text()) for run in (before, after))
    return [f"run.json: {key} differs" for key in sorted({*one, *other} - WHEN) if one.get(key) != other.get(key)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("make").add_argument("folder", type=Path)
    pair = commands.add_parser("compare")
    pair.add_argument("before", type=Path)
    pair.add_argument("after", type=Path)
    asked = parser.parse_args()
    if asked.command == "make":
        make(asked.folder)
    elif not compare(asked.before, asked.after):
        sys.exit(1)
