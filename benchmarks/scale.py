"""Large runs, measured: `python benchmarks/scale.py [SECTION ...] [--full]`.

    memory       memory, time and size of a run, half a run, its rest, and of load, report, select, figure and evaluate
    workers      throughput with one and two workers, of this machine and of ray, and the time to the first sample
    cost         cost of a sample at several numbers of samples, and outside passes
    simulation   64 workers that die, straggle and hang, on the code that divides runs

Each command runs in a process of its own. All sections are small by default; --full is the sizes of the documentation:
1,000, 10,000 and 100,000 points of the plane and 10,000 garments, which takes hours. Sizes may be given: `memory
--points 1000 10000 --garments 200`. `--from RUN` measures what reads a finished run.

A process that imports torch and EquiDiff and does nothing has some 0.7 GB of the peak; the first row shows it. Ratios
of workers mean something on a machine that has nothing else to do.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scale_parts import cost, memory, simulation, workers


@dataclass(frozen=True)
class Sizes:
    """Numbers of samples.

    Attributes:
        points: of the plane, for memory.
        garments: for memory.
        cost: points of the plane, for the cost of a sample.
        workers: garments, for throughput.
        simulated: samples of each simulation.
        seeds: of simulations.
    """

    points: Sequence[int] = (500,)
    garments: Sequence[int] = ()
    cost: Sequence[int] = (256, 512, 1024)
    workers: int = 64
    simulated: int = 10_000
    seeds: Sequence[int] = range(3)


SMALL = Sizes()
FULL = Sizes((1000, 10_000, 100_000), (10_000,), (1024, 4096, 16384), 1024, 100_000, range(20))
SECTIONS = ("memory", "workers", "cost", "simulation")


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--full", action="store_true", help="the sizes of the tables in the docs")
    parser.add_argument("--points", type=int, nargs="*", help="sizes of runs in the plane, for memory")
    parser.add_argument("--garments", type=int, nargs="*", help="sizes of runs of garments, for memory")
    parser.add_argument("--from", dest="run", type=Path, help="a finished run, of which only reading is measured")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if given.run is not None:
        memory.table_of(given.run)
        return
    chosen, sizes = given.sections or SECTIONS, FULL if given.full else SMALL
    own = {"points": given.points, "garments": given.garments}
    if any(value is not None for value in own.values()):
        kinds = {kind: value or () for kind, value in own.items()}
    else:
        kinds = {"points": sizes.points, "garments": sizes.garments}
    with tempfile.TemporaryDirectory(prefix="equidiff-scale-") as name:
        place = Path(name)
        if "memory" in chosen:
            memory.table(kinds, place)
        if "workers" in chosen:
            workers.table(sizes.workers, place)
        if "cost" in chosen:
            cost.table("points", sizes.cost, place)
        if "simulation" in chosen:
            simulation.table(sizes.simulated, sizes.seeds)


if __name__ == "__main__":
    main()
