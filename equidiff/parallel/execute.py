"""The run of an executor: calls go to workers, and one writer keeps what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from torch import Tensor

from equidiff.contracts import Executor
from equidiff.errors import RunFolderError
from equidiff.parallel.dispatch import Dispatcher
from equidiff.parallel.solve import Order, read_news, solve_pieces
from equidiff.parallel.spool import FOLDER, Spool, left_behind
from equidiff.parallel.work import Broken, Event, Found, Lost, Told, Work
from equidiff.run.execute import Ending, Observer, ended
from equidiff.run.folder import RunFolder
from equidiff.run.packed import pack
from equidiff.run.record import Record
from equidiff.search.blocks import BLOCK
from equidiff.search.engine import FAILED


class PackedStore(Ending, Protocol):
    """Keeps the packed samples of a run."""

    def add_packed(self, packed: bytes) -> Record | None:
        """Keep one finished sample; None where it is there already."""


def execute_with(
    executor: Executor,
    folder: RunFolder,
    indices: Sequence[int],
    observer: Observer | None = None,
    *,
    query_latent: Tensor | None = None,
    files: Sequence[Path] = (),
) -> None:
    """Find samples of a run folder with the workers of an executor, which ends with them.

    If the run ends early, finished samples are kept and the folder is closed.

    Args:
        executor: has the workers.
        folder: of the run, whose own code the user has named.
        indices: samples to find.
        observer: is told of each sample.
        query_latent: of a run that starts from its query.
        files: plugin files that the user named.

    Raises:
        KeyboardInterrupt: after the folder was closed as interrupted.
        Exception: whatever a component raised, after the folder was closed as failed.
    """
    spool = Spool(folder.path / FOLDER)
    order = Order.of(folder.info, query_latent, path=folder.path, files=files, spool=spool.address)
    dispatcher: Dispatcher[bytes] = Dispatcher(executor, between=folder.commit_if_due)
    dispatcher.add(Work(solve_pieces, order, indices, BLOCK, spool.arrived))
    with ended(folder):
        try:
            _keep(dispatcher, folder, observer)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            with suppress(OSError):  # a disk that is full must not hide what happened
                _keep(dispatcher.rest(), folder, None)
                spool.remove()
            raise
        executor.shutdown(wait=False, cancel_futures=True)
        spool.remove()


def _keep(events: Iterable[Event[bytes]], store: PackedStore, observer: Observer | None) -> None:
    """Keep what comes.

    Raises:
        Exception: the one that broke the run.
    """
    for event in events:
        if isinstance(event, Broken):
            raise event.error
        if isinstance(event, Told):
            if observer:
                observer.batch_reduced(read_news(event.news))
            continue
        packed = event.value if isinstance(event, Found) else pack(lost_record(event), None)
        record = store.add_packed(packed)
        if observer and record is not None:
            observer.result(record)


def lost_record(lost: Lost[bytes]) -> Record:
    """The record of a sample whose workers died."""
    return Record(lost.index, FAILED, 0, 0.0, 0.0, 0.0, 0.0, error=f"WorkerLostError: {lost.reason}")


def take_over(folder: RunFolder) -> None:
    """Put samples into a run folder that workers had finished when their writer was killed."""
    for packed in left_behind(folder.path):
        with suppress(RunFolderError):  # damaged: it is found again
            folder.add_packed(packed)
    Spool(folder.path / FOLDER).remove()
