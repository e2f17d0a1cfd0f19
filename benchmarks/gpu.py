"""All that a GPU can tell about this project, in one command of at most eight minutes: checks, speed, memory, profile.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu --small
    python benchmarks/gpu.py --only flow profile --minutes 3 --out build/flow

Writes OUT.json, and OUT.txt with what it prints. Weights are random: nothing is downloaded. Each part has a share of
the time, stops when it is used and says so. A part that fails is reported, and the rest goes on; the exit code is 1
then.
`--small` runs every part at a tiny size, to show that it works; its figures mean nothing.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
from device_parts import checks, flow, others, profiled, search
from device_parts.plan import Clock, Plan, Rows

Part = Callable[[Plan, Clock, Rows], None]
PARTS: dict[str, tuple[float, Part]] = {  # with its share of the time
    "checks": (0.20, checks.run),
    "flow": (0.35, flow.run),
    "others": (0.15, others.run),
    "search": (0.20, search.run),
    "profile": (0.10, profiled.run),
}


def main() -> int:
    """Run the parts; 1 if one of them failed."""
    arguments = parse()
    plan = Plan(arguments.device, arguments.small)
    torch.manual_seed(0)
    report = {"machine": plan.describe(), "small": plan.small, "parts": {}}
    lines = [", ".join(f"{name}: {value}" for name, value in report["machine"].items())]
    print(lines[0], flush=True)
    for name in arguments.only:
        share, part = PARTS[name]
        found = attempt(part, plan, 60 * arguments.minutes * share)
        report["parts"][name] = found
        new = [f"\n{name}: {found['seconds']:.0f} s{'; out of time' * found['stopped']}", *table(found["rows"])]
        new += [f"FAILED: {found['error']}"] if found["error"] else []
        print("\n".join(new), flush=True)
        lines += new
        write(arguments.out, report, lines)  # after each part: a machine may be taken away
    failed = [name for name, found in report["parts"].items() if found["error"]]
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to show that every part runs")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="without an ending")
    return parser.parse_args()


def attempt(part: Part, plan: Plan, seconds: float) -> dict[str, object]:
    """Rows of a part, the error that ended it, and how long it took."""
    clock, error, rows = Clock(seconds), None, Rows()
    started = time.perf_counter()
    try:
        part(plan, clock, rows)
    except Exception as caught:  # whatever it is, the other parts have something to tell
        place = traceback.extract_tb(caught.__traceback__)[-1]
        error = f"{type(caught).__name__}: {str(caught).splitlines()[:1]} at {Path(place.filename).name}:{place.lineno}"
    seconds = time.perf_counter() - started
    wrong = [row for row in rows if row.get("good") is False]
    if wrong and error is None:
        error = f"{len(wrong)} checks, such as {wrong[0]['name']}"
    return {"rows": rows, "error": error, "seconds": seconds, "stopped": clock.stopped}


def table(rows: Rows) -> list[str]:
    """Rows as lines of text; those with the same columns share a heading."""
    lines, heading = [], None
    for row in rows:
        if list(row) != heading:
            heading = list(row)
            lines.append("  ".join(f"{name:>{width(name)}}" for name in heading))
        lines.append("  ".join(f"{show(value):>{width(name)}}" for name, value in row.items()))
    return lines


def width(column: str) -> int:
    """Of a column, in letters."""
    return 44 if column == "name" else max(9, len(column))


def show(value: object) -> str:
    """A cell."""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write(out: Path, report: dict[str, object], lines: list[str]) -> None:
    """Write both files."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")
    out.with_suffix(".txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
