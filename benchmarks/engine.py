"""Show where the time of a run goes: `python benchmarks/engine.py [CASE ...] [--samples N ...] [--batch N ...]`.

Prints a table of runs, and for each run its passes by kind: rows that were wanted, rows that were computed (a pass may
be filled up with rows that nobody wants), and seconds. `passes` and `padding` are the parts of a run's wall time that
passes take, and rows that nobody wants. Its ratio is its time over what its evaluations would take if all of them were
gradients in full passes of 16 rows; CPU seconds say the same on a machine that does other things, too. `by kind` is
CPU time over what the wanted rows would take in full passes of their own kinds, which no order of passes can beat. The
last column is the wall time of a member over that of a prior sample. What the rest of `equidiff run` takes is above
each table.

The cases are `default`, `bag` (a logit), `logits` (ten of them), all with the low-pass view, and `circles`. By default
there are runs of 16 and 64 samples of `default` and `circles`; --full is all cases with 16, 64 and 256 samples in
batches of 4, 16 and 64.
"""

import argparse
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path

import torch
from engine_parts.meter import Clock, Meter, Metered, clock_row, full

from equidiff.analysis.figures.grid import draw_contact_sheet
from equidiff.registry.manager import Plugins
from equidiff.run.execute import keep
from equidiff.run.folder import RunFolder
from equidiff.run.invariant_set import InvariantSet
from equidiff.run.session import Session, prepare
from equidiff.run.settings import Settings
from equidiff.search.engine import MEMBER, Result, StepRecord
from equidiff.search.problem import Problem

CASES = {
    "default": ("toy:fashion", "neuron:17"),
    "bag": ("toy:fashion", "classifier:bag"),
    "logits": ("toy:fashion", "classifier"),
    "circles": ("toy:circles", "classifier:inner"),
}
SMALL = {"cases": ["default", "circles"], "samples": [16, 64], "batch": [16]}
FULL = {"cases": list(CASES), "samples": [16, 64, 256], "batch": [4, 16, 64]}

RUNS = ("case", "samples", "batch", "members", "evaluations", "wall", "CPU", "passes", "useful", "padding")
RUNS += ("ratio", "CPU ratio", "by kind", "member/prior")
KINDS = ("kind", "passes", "wanted", "computed", "useful", "rows a pass", "seconds", "ms a row", "in full passes")


@dataclass
class Measured:
    """One run."""

    case: str
    samples: int
    batch: int
    meter: Meter
    clocks: dict[str, Clock]
    members: int = 0
    evaluations: float = 0.0
    row: dict[str, Clock] = field(default_factory=dict)  # of a full pass of values, and of gradients
    full: dict[str, Clock] = field(default_factory=dict)  # the same of each kind

    def summary(self) -> list[str]:
        """Its row of the first table."""
        total, search, gradient = self.meter.total, self.clocks["search"], self.row["gradient"]
        kinds = self.meter.kinds.values()
        least = sum(kind.wanted * self.full[name].cpu for name, kind in self.meter.kinds.items())
        padding = sum(kind.clock.wall * (1 - kind.wanted / kind.computed) for kind in kinds)
        return [
            self.case,
            str(self.samples),
            str(self.batch),
            str(self.members),
            f"{self.evaluations:.0f}",
            f"{search.wall:.2f}",
            f"{search.cpu:.2f}",
            f"{total.clock.wall / search.wall:.0%}",
            f"{total.wanted / total.computed:.0%}",
            f"{padding / search.wall:.0%}",
            f"{search.wall / (self.evaluations * gradient.wall):.2f}",
            f"{search.cpu / (self.evaluations * gradient.cpu):.2f}",
            f"{search.cpu / least:.2f}",
            f"{search.wall / max(self.members, 1) / self.row['value'].wall:.1f}",
        ]

    def by_kind(self) -> list[list[str]]:
        """Its rows of the second."""
        return [
            [
                name,
                str(kind.passes),
                str(kind.wanted),
                str(kind.computed),
                f"{kind.wanted / kind.computed:.0%}",
                f"{kind.wanted / kind.passes:.1f}",
                f"{kind.clock.wall:.2f}",
                f"{1000 * kind.clock.wall / kind.wanted:.1f}",
                f"{1000 * self.full[name].wall:.1f}",
            ]
            for name, kind in sorted(self.meter.kinds.items(), key=lambda each: -each[1].clock.wall)
        ]


def measure(case: str, samples: int, batch: int) -> Measured:
    """Make a run as `equidiff run` does, in a folder that is thrown away."""
    generator, objective = CASES[case]
    clocks: dict[str, Clock] = defaultdict(Clock)
    with clocks["prepare"].running():
        settings = Settings(generator, objective, samples=samples, batch=batch, device="cpu")
        session = prepare(settings, Plugins(), default_to_query=True)
    problem = Metered.of(session.problem)
    found = Measured(case, samples, batch, problem.meter, clocks)
    found.row = row_costs(session.problem)
    with tempfile.TemporaryDirectory(prefix="equidiff-engine-") as place:
        make(replace(session, problem=problem), Path(place) / "run", found)
    found.full = problem.meter.full_rows()
    return found


def make(session: Session, path: Path, found: Measured) -> None:
    """Solve the samples and keep them."""
    clocks = found.clocks
    with clocks["folder"].running():
        folder = RunFolder.create(path, session.describe(), session.kept_query, None, session.prior_tensors)
    events = session.run(range(found.samples))
    while True:
        with clocks["search"].running():
            event = next(events, None)
        if event is None:
            break
        if isinstance(event, StepRecord):
            with clocks["folder"].running():
                folder.add_step(event)
        elif isinstance(event, Result):
            found.members += event.status == MEMBER
            found.evaluations += event.cost.evaluations
            with clocks["judge"].running():
                record, rows = keep(session, event)
            with clocks["folder"].running():
                folder.add_result(record, rows)
    with clocks["folder"].running():
        folder.finish("complete", clocks["search"].wall)
    with clocks["sheet"].running():
        draw_contact_sheet(InvariantSet.load(path), session.problem.objective.measure)


def row_costs(problem: Problem) -> dict[str, Clock]:
    """Seconds that a row takes in a full pass of values, and of gradients."""
    latents = torch.randn(1, *problem.generator.latent_shape, generator=torch.Generator().manual_seed(0))
    passes = {"value": problem.value, "gradient": problem.gradient}
    return {name: clock_row(partial(compute, full(latents))) for name, compute in passes.items()}


def show(head: tuple[str, ...], rows: list[list[str]]) -> None:
    """Print a table."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in [head, *rows]:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    print(flush=True)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="of " + ", ".join(CASES))
    parser.add_argument("--samples", type=int, nargs="+", help="sizes of runs")
    parser.add_argument("--batch", type=int, nargs="+", help="most rows in a pass")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--full", action="store_true", help="all cases, sizes and batches")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    default = FULL if given.full else SMALL
    asked = [getattr(given, name) or default[name] for name in ("cases", "samples", "batch")]
    runs = []
    for case, samples, batch in product(*asked):
        found = measure(case, samples, batch)
        runs.append(found.summary())
        row, clocks = found.row, found.clocks
        print(f"{case}, {samples} samples, batch {batch}, {torch.get_num_threads()} threads")
        print("ms a row of a full pass: " + ", ".join(f"{name} {1000 * row[name].wall:.2f}" for name in row))
        print("seconds: " + ", ".join(f"{name} {clock.wall:.2f}" for name, clock in clocks.items()))
        show(KINDS, found.by_kind())
    show(RUNS, runs)


if __name__ == "__main__":
    main()
