"""The context that a factory builds in, and what components report back."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from equidiff.contracts.generator import Generator
from equidiff.contracts.shared import Shared

T = TypeVar("T")


@dataclass(frozen=True)
class Weights:
    """A weights file that a component loaded, as recorded in `run.json`.

    Attributes:
        name: of the file, or of what was downloaded.
        sha256: of the file.
        revision: commit of the hub, or version of a package.
        entry: key of a larger checkpoint that holds the weights, e.g. "state_dict_ema".
    """

    name: str
    sha256: str
    revision: str | None = None
    entry: str | None = None


@dataclass(frozen=True)
class Finding:
    """One line of `equidiff doctor`.

    Attributes:
        subject: the thing that was examined.
        state: in words.
        broken: the run would fail.
    """

    subject: str
    state: str
    broken: bool = False


@dataclass(frozen=True)
class BuildContext:
    """The run that a factory builds for.

    Attributes:
        device: a torch device, e.g. "cpu" or "cuda:0".
        dtype: "float32" or "bfloat16" (autocast inside generators).
        generator: the run's generator; None while generators and solvers are built.
        weights: weights files that were loaded; components append theirs.
        notes: sentences about what a component had to assume; components append theirs, and users are shown them.
        attribution: builds another attribution method from its spec, for those that wrap one.
        shared: generators and networks of the runs before, where several are done in one process.
        verbose: the user wants to see what libraries log.
    """

    device: str = "cpu"
    dtype: str = "float32"
    generator: Generator | None = None
    weights: list[Weights] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    attribution: Callable[[str], Any] | None = None
    shared: Shared | None = None
    verbose: bool = False

    def share(self, kind: str, key: Hashable, make: Callable[[BuildContext], T]) -> T:
        """Make something for this run, or take it from a run before; either way, its weights and notes are recorded.

        Args:
            kind: "generator" or "network".
            key: everything that it depends on, apart from the device and the precision.
            make: makes it, in the context that it is given.
        """
        if self.shared is None:
            return make(self)

        def make_alone() -> tuple[T, BuildContext]:
            alone = replace(self, weights=[], notes=[])
            return make(alone), alone

        made, context = self.shared.take(kind, (key, self.device, self.dtype), make_alone)
        self.weights.extend(each for each in context.weights if each not in self.weights)
        self.notes.extend(each for each in context.notes if each not in self.notes)
        return made
