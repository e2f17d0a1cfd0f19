"""Does an invariant set expose a shortcut? Planted in ten networks, absent from ten others, looked for in every way.

    python examples/planted_shortcut.py --seeds 10 --out shortcut

Writes `results.json` and `shortcut.png` into the folder. The story is in docs/tutorials/planted-shortcut.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from shortcut.drawing import draw_looks
from shortcut.experiment import Look, Plan, look_at_seed
from shortcut.tables import looks_table, totals, totals_table


def main(out: Path, plan: Plan, first: int) -> None:
    """Run, print and write."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    looks: list[Look] = []
    for seed in range(first, first + plan.seeds):
        looks += look_at_seed(
            seed, plan, lambda text: print(f"[{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr)
        )
        if seed == first:
            draw_looks(out / "shortcut.png", looks)
    summaries = [look.summary() for look in looks]
    seconds = time.monotonic() - started
    results = {"plan": vars(plan), "first": first, "wall_s": seconds, "looks": summaries, "totals": totals(summaries)}
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(looks_table(summaries), totals_table(summaries), sep="\n\n")
    print(f"{seconds:.0f} seconds", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds, two networks each")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--samples", type=int, default=32, help="members asked for, a set")
    parser.add_argument("--out", type=Path, default=Path("shortcut"), help="folder to write into")
    given = parser.parse_args()
    main(given.out, Plan(given.seeds, given.samples), given.first)
