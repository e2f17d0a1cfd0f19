"""The part of a sweep that workers do: prepare a run, solve some of its samples, and send them back as bytes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor

from equidiff.contracts import Shared
from equidiff.errors import EquiDiffError
from equidiff.registry.manager import Plugins
from equidiff.run.execute import keep
from equidiff.run.folder import RunFolder
from equidiff.run.image_files import ImageFiles
from equidiff.run.info import RunInfo
from equidiff.run.packed import pack
from equidiff.run.reopen import reopen
from equidiff.run.session import Session, prepare
from equidiff.search.engine import Result, StepRecord
from equidiff.sweep.check import to_settings
from equidiff.sweep.forecast import MeasuredPass, measure_pass


@dataclass(frozen=True)
class Order:
    """All that a worker needs to know of a run.

    Attributes:
        name: of the run.
        settings: as texts.
        folder: in which relative paths begin.
        files: plugin files.
        path: of the run folder.
        info: of a run that goes on; None for a new one.
        query_latent: from which it started, as bytes; None where it did not start from its query.
        objective: that of a run which goes on, where it is code of the user's own and allowed.
    """

    name: str
    settings: dict[str, str]
    folder: str
    files: tuple[str, ...] = ()
    path: str = ""
    info: RunInfo | None = None
    query_latent: bytes | None = None
    objective: str | None = None


@dataclass(frozen=True)
class Prepared:
    """A new run as the worker that prepared it describes it.

    Attributes:
        info: of the run, before its first sample.
        query: tensors of the query, as bytes.
        prior: tensors of the prior samples, as bytes.
    """

    info: RunInfo
    query: bytes
    prior: bytes

    @classmethod
    def of(cls, session: Session, settings: Mapping[str, str]) -> Prepared:
        """Describe a session.

        Args:
            session: of the run.
            settings: those of the sweep, one of which is of the folder.
        """
        info = session.describe()
        if "images" in settings:
            info = info.model_copy(update={"images": str(ImageFiles.parse(settings["images"]))})
        found = {"query": session.kept_query, "query_latent": None if session.start is None else session.start.latent}
        of_query = {name: value for name, value in found.items() if value is not None}
        return cls(info, _to_bytes(of_query), _to_bytes(session.prior_tensors))

    def create(self, path: Path) -> RunFolder:
        """Make the run folder."""
        query = load(self.query)
        return RunFolder.create(path, self.info, query.get("query"), query.get("query_latent"), load(self.prior))


@dataclass(frozen=True)
class Solved:
    """A sample that a worker finished.

    Attributes:
        packed: the sample.
        prepared: the run; only with the first sample of a call, and of a new run.
        seconds: that the call took for this run so far, since its sample before.
    """

    packed: bytes
    prepared: Prepared | None
    seconds: float


def solve(pieces: Sequence[tuple[Order, Sequence[int]]]) -> list[list[tuple[int, Solved]] | Exception]:
    """Solve samples of some runs.

    Args:
        pieces: runs, and indices of their samples.

    Returns:
        For each piece its samples, with their indices; or the error that ended it.
    """
    return [_try(order, indices) for order, indices in pieces]


def measure(order: Order) -> MeasuredPass:
    """Prepare a run, which this worker may go on with, and measure a pass of it."""
    return measure_pass(_session(order))


def _try(order: Order, indices: Sequence[int]) -> list[tuple[int, Solved]] | Exception:
    try:
        return _solve(order, indices)
    except Exception as error:  # one that any process can read, whatever its type
        return EquiDiffError(reason(error))


def _solve(order: Order, indices: Sequence[int]) -> list[tuple[int, Solved]]:
    began = time.perf_counter()
    session = _session(order)
    prepared = Prepared.of(session, order.settings) if order.info is None else None
    steps: dict[int, list[StepRecord]] = {}
    found: list[tuple[int, Solved]] = []
    for event in session.run(indices):
        if isinstance(event, StepRecord):
            steps.setdefault(event.index, []).append(event)
        elif isinstance(event, Result):
            record, rows = keep(session, event)
            packed = pack(record, rows, steps.pop(event.index, ()))
            now = time.perf_counter()
            found.append((event.index, Solved(packed, None if found else prepared, now - began)))
            began = now
    return found


def reason(error: Exception) -> str:
    """The reason why a run failed, in one line."""
    if isinstance(error, EquiDiffError):
        given = "" if error.given is None else f" ({error.given})"
        return " ".join(f"{error.problem}{given}".split())
    return " ".join(f"{type(error).__name__}: {error}".split())


def _to_bytes(tensors: dict[str, Tensor]) -> bytes:
    return save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()})


class _Place:
    """What this process keeps from one call to the next: models, and the last session."""

    def __init__(self) -> None:
        self.shared = Shared()
        self.last: tuple[Order, Session] | None = None


@cache
def _place() -> _Place:
    return _Place()


@cache
def _plugins(files: tuple[str, ...]) -> Plugins:
    return Plugins(files=map(Path, files))


def _session(order: Order) -> Session:
    place = _place()
    if place.last is None or place.last[0] != order:
        place.last = None  # its memory goes before the next needs some
        if os.path.isdir(order.folder):
            os.chdir(order.folder)
        place.last = (order, _open(order, _plugins(order.files), place.shared))
    return place.last[1]


def _open(order: Order, plugins: Plugins, shared: Shared) -> Session:
    if order.info is None:
        return prepare(to_settings(order.settings), plugins, default_to_query=True, shared=shared)
    latent = None if order.query_latent is None else load(order.query_latent)["query_latent"]
    return reopen(
        order.info,
        latent,
        plugins,
        objective=order.objective,
        files=[Path(file) for file in order.files],
        path=Path(order.path),
        shared=shared,
    )
