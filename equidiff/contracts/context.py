"""The context that a factory builds in, and what components report back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from equidiff.contracts.generator import Generator


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
    """

    device: str = "cpu"
    dtype: str = "float32"
    generator: Generator | None = None
    weights: list[Weights] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    attribution: Callable[[str], Any] | None = None
