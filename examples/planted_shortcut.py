"""Does an invariant set expose a shortcut? Planted in ten networks, absent from ten others, looked for in every way.

    python examples/planted_shortcut.py --seeds 10 --out shortcut

Writes `results.json`, `shortcut.png` and its tables into the folder. The story: docs/tutorials/planted-shortcut.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from shortcut.drawing import draw_looks
from shortcut.experiment import Look, Plan, look_at_seed
from shortcut.tables import tables, totals


def main(out: Path, plan: Plan, first: int) -> None:
    """Run, print and write."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr)

    looks: list[Look] = []
    for seed in range(first, first + plan.seeds):
        looks += look_at_seed(seed, plan, say)
        if seed == first:
            draw_looks(out / "shortcut.png", looks)
    summaries = [look.summary() for look in looks]
    for name, text in tables(summaries).items():
        (out / f"{name}.txt").write_text(text + "\n")
        print(text, end="\n\n")
    wall_s = round(time.monotonic() - started, 1)
    results = {"plan": vars(plan), "first": first, "wall_s": wall_s, "totals": totals(summaries), "looks": summaries}
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    say(f"wrote shortcut.png, results.json and the tables into {out}")


def count(text: str) -> int:
    """A whole number of at least 1, as typed."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=count, default=10, help="how many seeds, two networks each")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--samples", type=count, default=32, help="members asked for, a set")
    parser.add_argument("--pictures", type=count, default=4096, help="training pictures, a network")
    parser.add_argument("--out", type=Path, default=Path("shortcut"), help="folder to write into")
    given = parser.parse_args()
    main(given.out, Plan(given.seeds, given.samples, pictures=given.pictures), given.first)
