"""The function that workers carry out: it finds samples of runs, and leaves or returns them packed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from equidiff.folders import text
from equidiff.folders.json_files import parse_json
from equidiff.parallel.sessions import SHARED, enter, keep_session, kept_session, own_device, plugins_of, portable
from equidiff.parallel.spool import Address, CallFile
from equidiff.parallel.work import NEWS, Answer
from equidiff.run.execute import keep
from equidiff.run.info import RunInfo
from equidiff.run.packed import pack
from equidiff.run.reopen import reopen
from equidiff.run.session import Session
from equidiff.search.batching import BatchReduced
from equidiff.search.engine import StepRecord

LATENT = "latent"


@dataclass(frozen=True)
class Order:
    """All that a worker needs to find samples of a run, besides their indices.

    Attributes:
        info: the text of `run.json`.
        query_latent: a safetensors file with the query's latent, where the run starts from it.
        path: the run folder, to find files that were moved together with it.
        objective: the run's objective, where it is code that the user named.
        files: plugin files that the user named.
        spool: where to leave samples.
    """

    info: str
    query_latent: bytes | None = None
    path: str | None = None
    objective: str | None = None
    files: tuple[str, ...] = ()
    spool: Address | None = None

    @classmethod
    def of(
        cls,
        info: RunInfo,
        query_latent: Tensor | None,
        *,
        path: Path | None = None,
        files: Sequence[Path] = (),
        spool: Address | None = None,
    ) -> Order:
        """The order for a run whose code the user has named: in this command, or in the one that began it.

        Args:
            info: the content of `run.json`.
            query_latent: `[1, *latent_shape]`, where the run starts from it.
            path: the run folder.
            files: plugin files that the user named.
            spool: where to leave samples.
        """
        return cls(
            info.to_json(),
            None if query_latent is None else save({LATENT: query_latent.contiguous()}),
            None if path is None else str(path.absolute()),
            info.specs.objective if info.specs.is_custom else None,
            tuple(str(file.absolute()) for file in files),
            spool,
        )


def solve_pieces(pieces: Sequence[tuple[Order, Sequence[int]]]) -> list[Answer]:
    """Find samples of several runs, one run after the other; the error of one is its answer."""
    return [_solve(order, indices) for order, indices in pieces]


def _solve(order: Order, indices: Sequence[int]) -> Answer:
    try:
        return _find(order, indices)
    except Exception as error:  # of this run: the others go on
        return portable(error)


def _find(order: Order, indices: Sequence[int]) -> list[tuple[int, Any]]:
    session = _session(order)
    file = CallFile(order.spool, indices) if order.spool is not None and order.spool.is_reachable() else None
    done = set() if file is None else file.finished() & set(indices)
    found: list[tuple[int, Any]] = [(index, None) for index in sorted(done)]
    steps: dict[int, list[StepRecord]] = {}
    for event in session.run([index for index in indices if index not in done]):
        if isinstance(event, StepRecord):
            steps.setdefault(event.index, []).append(event)
        elif isinstance(event, BatchReduced):
            keep_session(_key(order), replace(session, settings=replace(session.settings, batch=event.batch)))
            found += _leave(file, NEWS, text.to_json(vars(event)).encode())
        else:
            found += _leave(file, event.index, pack(*keep(session, event), steps.pop(event.index, [])))
    return found


def _leave(file: CallFile | None, index: int, content: bytes) -> list[tuple[int, Any]]:
    """Leave a sample, or news, on the shared disk where there is one; the item for the answer."""
    if file is None:
        return [(index, content)]
    file.append(index, content)
    return [] if index == NEWS else [(index, None)]


def read_news(told: bytes) -> BatchReduced:
    """The event that a worker has told."""
    return BatchReduced(**parse_json(told))


def _session(order: Order) -> Session:
    session = kept_session(_key(order))
    if session is None:
        info = RunInfo.model_validate_json(order.info)
        enter(info.folder or ".")
        session = reopen(
            info,
            None if order.query_latent is None else load(order.query_latent)[LATENT],
            plugins_of(order.files),
            objective=order.objective,
            files=[Path(file) for file in order.files],
            device=own_device(info.device),
            path=None if order.path is None else Path(order.path),
            shared=SHARED,
        )
        keep_session(_key(order), session)
    return session


def _key(order: Order) -> Order:
    return replace(order, spool=None)
