"""Time and rows of a run's passes, by kind."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from equidiff.contracts import Answer
from equidiff.search.problem import Problem

ROWS, REPEATS = 16, 3  # passes in which a row's cost is measured


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


def clock_row(call: Callable[[], object]) -> Clock:
    """Seconds that a row takes in a pass of `ROWS` rows: the median of a few, after one that is not counted."""
    clocks = [Clock() for _ in range(REPEATS + 1)]
    for clock in clocks:
        with clock.running():
            call()
    walls, cpus = ([getattr(clock, key) / ROWS for clock in clocks[1:]] for key in ("wall", "cpu"))
    return Clock(statistics.median(walls), statistics.median(cpus))


def full(tensor: object) -> object:
    """Rows of a tensor, repeated or left out until there are `ROWS`; anything else as it is."""
    return tensor[torch.arange(ROWS) % len(tensor)] if isinstance(tensor, Tensor) else tensor


@dataclass
class Kind:
    """The passes of one kind."""

    passes: int = 0
    wanted: int = 0
    computed: int = 0
    clock: Clock = field(default_factory=Clock)
    full: Callable[[], Answer] | None = None  # a full pass of this kind


@dataclass
class Meter:
    """The passes of a run by kind; one inside another is not counted again."""

    kinds: defaultdict[str, Kind] = field(default_factory=lambda: defaultdict(Kind))
    busy: bool = False

    def count(self, name: str, call: Callable[..., Answer], latents: Tensor, *others: object) -> Answer:
        """Count a pass, and return its answer."""
        if self.busy:
            return call(latents, *others)
        kind = self.kinds[name]
        kind.full = kind.full or (lambda: call(full(latents), *map(full, others)))
        kind.passes += 1
        kind.computed += len(latents)
        # a row that fills a pass is the one before it
        kind.wanted += 1 + int((latents[1:] != latents[:-1]).flatten(1).any(dim=1).sum())
        self.busy = True
        try:
            with kind.clock.running():
                return call(latents, *others)
        finally:
            self.busy = False

    def full_rows(self) -> dict[str, Clock]:
        """Seconds that a row takes in a full pass of each kind."""
        self.busy = True
        found = {name: clock_row(kind.full) for name, kind in self.kinds.items() if kind.full}
        self.busy = False
        return found

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

    def judged_jacobian(self, latents: Tensor, samples: Tensor) -> Answer:  # type: ignore[override]
        """Counted."""
        return self._counted("judged_jacobian", latents, samples)

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
        return self.meter.count(name + self.part, getattr(super(), name), latents, *others)
