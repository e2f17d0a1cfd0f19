"""Does an invariant set expose a shortcut? Plant one in ten networks, leave ten others without, and try each method.

    python examples/planted_shortcut.py --seeds 10 --out shortcut

Writes `results.json`, `shortcut.png` and the tables into the folder. For the story, see
docs/tutorials/planted-shortcut.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from shortcut.drawing import draw_decisions
from shortcut.experiment import Decision, Plan, examine_seed
from shortcut.tables import tables, totals


def main(out: Path, plan: Plan, first: int) -> None:
    """Run the experiment, print its tables and write its files."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr)

    decisions: list[Decision] = []
    for seed in range(first, first + plan.seeds):
        decisions += examine_seed(seed, plan, say)
        if seed == first:
            draw_decisions(out / "shortcut.png", decisions)
    summaries = [decision.summary() for decision in decisions]
    for name, text in tables(summaries).items():
        (out / f"{name}.txt").write_text(text + "\n")
        print(text, end="\n\n")
    wall_s = round(time.monotonic() - started, 1)
    results = {"plan": vars(plan), "first": first, "wall_s": wall_s, "totals": totals(summaries), "looks": summaries}
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    say(f"wrote shortcut.png, results.json and the tables into {out}")


def count(text: str) -> int:
    """Parse a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=count, default=10, help="number of seeds, two networks each")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--samples", type=count, default=32, help="members to search for, per set")
    parser.add_argument("--pictures", type=count, default=4096, help="training images per network")
    parser.add_argument("--out", type=Path, default=Path("shortcut"), help="folder to write into")
    given = parser.parse_args()
    main(given.out, Plan(given.seeds, given.samples, pictures=given.pictures), given.first)
