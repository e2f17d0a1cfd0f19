"""Cost of a sample: at several numbers of samples, and beside its passes."""

import json
from collections.abc import Sequence
from pathlib import Path

from scale_parts.processes import PINNED, head, measure, run_words, show

# the command line, with the clocks of all passes; the last argument is the file for what they say
TIMED = """
import json, sys, time
from equidiff.search.batching import Passes

spent, compute = [0.0, 0.0], Passes.compute

def timed(self, *args, **kwargs):
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        return compute(self, *args, **kwargs)
    finally:
        spent[0] += time.perf_counter() - wall
        spent[1] += time.process_time() - cpu

from equidiff.run import execute
whole, ended = [], execute.ended

def clocked(store):
    whole.append((time.perf_counter(), time.process_time(), *spent))
    return ended(store)

execute.ended = clocked
Passes.compute = timed
from equidiff.run.folder import RunFolder
finish = RunFolder.finish

def finished(self, *args, **kwargs):
    finish(self, *args, **kwargs)
    wall, cpu, wall_before, cpu_before = whole[0]
    numbers = {
        "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu,
        "passes_wall": spent[0] - wall_before, "passes_cpu": spent[1] - cpu_before,
    }
    with open(sys.argv[-1], "w") as file:
        json.dump(numbers, file)

RunFolder.finish = finished
from equidiff.cli import main
main(sys.argv[1:-1])
"""


def table(kind: str, counts: Sequence[int], place: Path) -> None:
    """Carry out runs of all sizes, in one process with one thread.

    The search is timed from its first pass until the folder is complete; what is not passes through generator and
    objective is the engine's, the solver's and the writer's.
    """
    head(
        f"Cost of a sample: {kind}, one process, one thread",
        "samples", "evaluations each", "of the fewest", "wall each", "of the fewest", "outside passes: wall", "CPU",
    )  # fmt: skip
    first: tuple[float, float] | None = None
    for count in counts:
        folder, file = place / f"cost-{kind}-{count}", place / f"cost-{count}.json"
        measure(TIMED, *run_words(kind, count, folder), file, env=PINNED)
        found = json.loads(file.read_text(encoding="utf-8"))
        evaluations = json.loads((folder / "run.json").read_text(encoding="utf-8"))["evaluations"] / count
        wall = found["wall"] / count
        first = first or (evaluations, wall)
        outside = [1000 * (found[clock] - found[f"passes_{clock}"]) / count for clock in ("wall", "cpu")]
        show(
            f"{count:,}", f"{evaluations:.2f}", f"{evaluations / first[0]:.3f}", f"{1000 * wall:.2f} ms",
            f"{wall / first[1]:.3f}", *(f"{each:.2f} ms" for each in outside),
        )  # fmt: skip
