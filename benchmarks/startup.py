"""How long the commands that must not wait for torch take: `python benchmarks/startup.py`.

On an idle core wall and CPU time are the same; on a busy one the CPU time is what to look at.
"""

import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPEATS = 9
LIMIT_S = 0.6
COMMANDS = (["--help"], ["--version"], ["plugins"], ["show", "solver"], ["run", "--help"])


def measure(arguments: list[str]) -> tuple[float, float]:
    """Median wall and CPU seconds of one command, in processes of its own."""
    command = [str(Path(sys.executable).with_name("equidiff")), *arguments]
    walls, cpus = [], []
    for _ in range(REPEATS):
        wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - wall)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(walls), statistics.median(cpus)


if __name__ == "__main__":
    print(f"{'command':22} wall s   cpu s   (limit {LIMIT_S})")
    for arguments in COMMANDS:
        wall, cpu = measure(arguments)
        print(f"equidiff {' '.join(arguments):13} {wall:6.2f}  {cpu:6.2f}")
