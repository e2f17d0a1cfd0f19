"""Memory, time and size of large runs: `python benchmarks/scale.py [--full] [--points 1000 10000] [--garments 10000]`.

Each command runs in a process of its own: a run, one that is interrupted half-way and resumed, and what reads its
folder. Prints a table, with the peak of the memory that the system counts for the process and, last, the cost of a
sample at each size beside that at the smallest. By default there are 500 and 1,000 points; --full is 1,000, 10,000 and
100,000 points of the plane and 10,000 garments, which takes hours. `--from RUN` measures what reads a finished run.

A process that imports torch and EquiDiff and does nothing has some 0.7 GB of that peak; the first row shows it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FULL = {"points": [1000, 10_000, 100_000], "garments": [10_000]}
SMALL = {"points": [500, 1000], "garments": []}
BATCH = 256
GENERATORS = {"points": "toy:circles", "garments": "toy:fashion"}
CLI = "import sys; from equidiff.cli import main; main(sys.argv[1:])"
LOAD = "import sys, equidiff; found = equidiff.load(sys.argv[1]); print(len(found), found[-1].sample.shape)"
IMPORT = "import torch, equidiff.run.finished"
COLUMNS = ("samples", "command", "seconds", "CPU seconds", "peak MB", "folder MB", "files")


@dataclass(frozen=True)
class Measured:
    """One process: wall and CPU seconds, and the peak of its memory in MB."""

    seconds: float
    cpu: float
    peak: float


def measure(code: str, *words: object, stop: tuple[Path, int] | None = None) -> Measured:
    """Run Python code in a process of its own.

    Args:
        code: for `python -c`.
        words: its arguments.
        stop: interrupt it once this file has this many lines.
    """
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stdout=said, stderr=said)
        if stop is not None:
            while process.poll() is None and lines(stop[0]) < stop[1]:
                time.sleep(0.2)
            process.send_signal(signal.SIGINT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in ({0, 3} if stop is None else {0, 3, 130}):
            said.seek(0)
            raise SystemExit(said.read().decode())
    return Measured(time.perf_counter() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def lines(file: Path) -> int:
    """Lines of a file; none where it is missing."""
    return file.read_bytes().count(b"\n") if file.exists() else 0


def run_words(kind: str, count: int, out: Path) -> list[object]:
    """Arguments of `equidiff run`."""
    what = ["-g", GENERATORS[kind], "-o", "neuron:17", "-n", count]
    return ["run", *what, "--batch", BATCH, "--device", "cpu", "--out", out]


def reading(run: Path) -> Iterator[tuple[str, Measured]]:
    """Measure what reads a finished run."""
    yield "load", measure(LOAD, run)
    yield "report", measure(CLI, "report", run)
    yield "select", measure(CLI, "select", run, "--device", "cpu")
    yield "figure", measure(CLI, "figure", run, "--device", "cpu")
    yield "evaluate", measure(CLI, "evaluate", run, "--device", "cpu")


def writing(kind: str, count: int, folder: Path) -> Iterator[tuple[str, Measured]]:
    """Measure a run, and one that is interrupted half-way and resumed; the first stays in `folder`."""
    yield "run", measure(CLI, *run_words(kind, count, folder))
    half = folder.with_name(f"{folder.name}-half")
    yield "half a run", measure(CLI, *run_words(kind, count, half), stop=(half / "members.jsonl", count // 2))
    yield "resume", measure(CLI, "run", "--resume", half)


def size(folder: Path) -> tuple[float, int]:
    """MB and number of the files of a folder."""
    files = [each for each in folder.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files) / 1e6, len(files)


def row(count: int, command: str, measured: Measured, folder: Path | None = None) -> None:
    """Print one row of the table."""
    mb, files = ("", "") if folder is None else (f"{size(folder)[0]:.1f}", size(folder)[1])
    cells = (count, command, f"{measured.seconds:.1f}", f"{measured.cpu:.1f}", f"{measured.peak:.0f}", mb, files)
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def cost(run: Path) -> tuple[int, float, float]:
    """Samples of a run, and the evaluations and seconds that each cost."""
    info = json.loads((run / "run.json").read_text())
    count = info["counts"]["asked"]
    return count, info["evaluations"] / count, info["wall_s"] / count


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--full", action="store_true", help="the sizes of the table in the docs")
    parser.add_argument("--points", type=int, nargs="*", help="sizes of runs in the plane")
    parser.add_argument("--garments", type=int, nargs="*", help="sizes of runs of garments")
    parser.add_argument("--from", dest="run", type=Path, help="a finished run, of which only reading is measured")
    given = parser.parse_args()
    sizes = FULL if given.full else SMALL if given.points is given.garments is None else {"points": [], "garments": []}
    sizes = {kind: getattr(given, kind) if getattr(given, kind) is not None else sizes[kind] for kind in GENERATORS}
    print("|", " | ".join(COLUMNS), "|\n|" + "---|" * len(COLUMNS))
    row(0, "import", measure(IMPORT))
    if given.run is not None:
        for command, measured in reading(given.run):
            row(lines(given.run / "members.jsonl"), command, measured)
        return
    with tempfile.TemporaryDirectory(prefix="equidiff-scale-") as place:
        for kind, counts in sizes.items():
            costs = []
            for count in counts:
                folder = Path(place) / f"{kind}-{count}"
                print(f"| {count} {kind} |" + " |" * (len(COLUMNS) - 1))
                for command, measured in writing(kind, count, folder):
                    row(count, command, measured, folder if command == "run" else None)
                costs.append(cost(folder))
                for command, measured in reading(folder):
                    row(count, command, measured)
            for count, evaluations, seconds in costs:
                first = costs[0]
                print(
                    f"{count} {kind}: {evaluations:.2f} evaluations a sample ({evaluations / first[1]:.3f} of those of "
                    f"{first[0]}), {1000 * seconds:.2f} ms a sample ({seconds / first[2]:.3f})"
                )


if __name__ == "__main__":
    main()
