"""Show where the time of a run goes: `python benchmarks/engine.py [CASE ...] [--samples N ...] [--batch N ...]`.

Prints a table of runs, and for each run its passes by kind: rows that were wanted, rows that were computed (a pass may
be filled up with rows that nobody wants), and seconds. `passes` and `padding` are the parts of a run's wall time that
passes take, and rows that nobody wants. Its ratio is its time over what its evaluations would take if all of them were
gradients in full passes of 16 rows; CPU seconds say the same on a machine that does other things, too. The last column
is the wall time of a member over that of a prior sample. What the rest of `equidiff run` takes is above each table.

The cases are `default`, `bag` (a logit), `logits` (ten of them), all with the low-pass view, and `circles`. By default
there are runs of 16 and 64 samples of `default` and `circles`; --full is all cases with 16, 64 and 256 samples in
batches of 4, 16 and 64.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from equidiff.analysis.figures.grid import draw_contact_sheet
from equidiff.contracts import Answer
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
ROWS, REPEATS = 16, 3  # passes in which a row's cost is measured

RUNS = ("case", "samples", "batch", "members", "evaluations", "wall", "CPU", "passes", "useful", "padding")
RUNS += ("ratio", "CPU ratio", "member/prior")
KINDS = ("kind", "passes", "wanted", "computed", "useful", "rows a pass", "seconds", "ms a row")


@dataclass
class Clock:
    """Wall and CPU seconds."""

    wall: float = 0.0
    cpu: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the time that the block takes."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


@dataclass
class Kind:
    """The passes of one kind."""

    passes: int = 0
    wanted: int = 0
    computed: int = 0
    clock: Clock = field(default_factory=Clock)


@dataclass
class Meter:
    """The passes of a run by kind; one inside another is not counted again."""

    kinds: defaultdict[str, Kind] = field(default_factory=lambda: defaultdict(Kind))
    busy: bool = False

    def count(self, name: str, latents: Tensor, call: Callable[[], Answer]) -> Answer:
        """Count a pass, and return its answer."""
        if self.busy:
            return call()
        kind = self.kinds[name]
        kind.passes += 1
        kind.computed += len(latents)
        # a row that fills a pass is the one before it
        kind.wanted += 1 + int((latents[1:] != latents[:-1]).flatten(1).any(dim=1).sum())
        self.busy = True
        try:
            with kind.clock.running():
                return call()
        finally:
            self.busy = False

    @property
    def total(self) -> Kind:
        """All kinds together."""
        found = Kind()
        for kind in self.kinds.values():
            found.passes += kind.passes
            found.wanted += kind.wanted
            found.computed += kind.computed
            found.clock.wall += kind.clock.wall
            found.clock.cpu += kind.clock.cpu
        return found


@dataclass(frozen=True)
class Metered(Problem):
    """A problem whose passes are counted."""

    meter: Meter = field(default_factory=Meter, compare=False)
    part: str = ""

    @classmethod
    def of(cls, problem: Problem) -> "Metered":
        """The same problem, with a meter."""
        return cls(**{each.name: getattr(problem, each.name) for each in fields(Problem)})

    @property
    def tail(self) -> "Metered | None":  # type: ignore[override]
        """The same of its tail."""
        found = super().tail
        return None if found is None else replace(found, part=" of tail")

    def value(self, latents: Tensor, steps: int | None = None) -> Answer:
        """Counted."""
        return self._counted("value", latents, steps)

    def gradient(self, latents: Tensor, steps: int | None = None) -> Answer:  # type: ignore[override]
        """Counted."""
        return self._counted("gradient", latents, steps)

    def jacobian(self, latents: Tensor, steps: int | None = None) -> Answer:  # type: ignore[override]
        """Counted."""
        return self._counted("jacobian", latents, steps)

    def split(self, latents: Tensor) -> Answer:  # type: ignore[override]
        """Counted."""
        return self._counted("split", latents)

    def reencode(self, latents: Tensor, states: Tensor, moved: Tensor) -> Answer:  # type: ignore[override]
        """Counted."""
        return self._counted("reencode", latents, states, moved)

    def _counted(self, name: str, latents: Tensor, *others: object) -> Answer:
        call = getattr(super(), name)
        return self.meter.count(name + self.part, latents, lambda: call(latents, *others))


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
    row: dict[str, Clock] = field(default_factory=dict)  # of a full pass, by kind

    def summary(self) -> list[str]:
        """Its row of the first table."""
        total, search, gradient = self.meter.total, self.clocks["search"], self.row["gradient"]
        kinds = self.meter.kinds.values()
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
    """Seconds that a row takes in a pass of `ROWS` rows; the median of a few."""
    latents = torch.randn(ROWS, *problem.generator.latent_shape, generator=torch.Generator().manual_seed(0))
    found = {}
    for name in ("value", "gradient"):
        clocks = [Clock() for _ in range(REPEATS + 1)]
        for clock in clocks:
            with clock.running():
                getattr(problem, name)(latents)
        walls, cpus = ([getattr(clock, key) / ROWS for clock in clocks[1:]] for key in ("wall", "cpu"))
        found[name] = Clock(statistics.median(walls), statistics.median(cpus))
    return found


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
