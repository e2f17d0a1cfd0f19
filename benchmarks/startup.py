"""Time the commands that must not wait for torch: `python benchmarks/startup.py [--vs PYTHONPATH]`.

On an idle core wall and CPU time are the same; on a busy one the CPU time is what to look at. `--vs` names another
checkout, such as the commit before: each command runs in this tree and in that one by turns, so that whatever else the
machine does falls on both, and the ratio of the two medians is printed.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT_S = 0.6
# the last one needs files of a model hub, and says at once that it cannot have them
WITHOUT_HUB = ["run", "--generator", "lightningdit", "--objective", "sae:6547"]
COMMANDS = (["--help"], ["--version"], ["plugins"], ["show", "solver"], ["run", "--help"], WITHOUT_HUB)
RUN = "import sys; from equidiff.cli import main; main(sys.argv[1:])"
HERE = str(Path(__file__).parents[1])


def seconds(arguments: list[str], path: str) -> tuple[float, float]:
    """Wall and CPU seconds of one command, in a process of its own that imports from `path` first."""
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH")])),
    }
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    # `python -c` looks into the current folder first, and there must be no equidiff
    command = [sys.executable, "-c", RUN, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, env=environment, cwd="/")
    if done.returncode != (arguments == WITHOUT_HUB):
        raise SystemExit(done.stderr.decode())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def medians(arguments: list[str], paths: list[str], repeats: int) -> list[tuple[float, float]]:
    """Median wall and CPU seconds of a command for each path; the paths take turns."""
    taken = [[seconds(arguments, path) for path in paths] for _ in range(repeats)]
    middle = statistics.median
    return [(middle(run[i][0] for run in taken), middle(run[i][1] for run in taken)) for i in range(len(paths))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Time the commands that must not wait for torch.")
    parser.add_argument("--vs", metavar="PYTHONPATH", help="another checkout to compare with")
    parser.add_argument("--repeats", type=int, default=9, help="how often each command runs (default: 9)")
    options = parser.parse_args()
    paths = [HERE]
    if options.vs:
        paths.append(os.pathsep.join(os.path.abspath(path) for path in options.vs.split(os.pathsep)))
    columns = "  wall s   cpu s"
    against = f"  | other{columns}  | ratio    wall     cpu" if options.vs else ""
    print(f"{'command':22}{columns}{against}  (limit {LIMIT_S})")
    for arguments in COMMANDS:
        (wall, cpu), *others = medians(arguments, paths, options.repeats)
        line = f"equidiff {' '.join(arguments[:2]):13}{wall:8.2f}{cpu:8.2f}"
        for other_wall, other_cpu in others:
            line += f"  |      {other_wall:8.2f}{other_cpu:8.2f}  |      {wall / other_wall:8.2f}{cpu / other_cpu:8.2f}"
        print(line)
