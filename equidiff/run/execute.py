"""The loop of a run: steps and results go from the session to a store and an observer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from equidiff.devices import is_out_of_memory
from equidiff.folders.status import COMPLETE, INTERRUPTED, RUN_FAILED
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.record import Called, Record
from equidiff.run.session import Session
from equidiff.run.signals import held_signals
from equidiff.search.attempt import attempt, reason
from equidiff.search.batching import PROBES, BatchReduced
from equidiff.search.engine import FAILED, Result, StepRecord


class Ending(Protocol):
    """Something of a run that ends with it."""

    def finish(self, status: str, wall_s: float, error: str | None = None) -> None:
        """End the run."""


class Store(Ending, Protocol):
    """Keeps the samples of a run."""

    def add_step(self, step: StepRecord) -> None:
        """Keep one step."""

    def add_result(self, record: Record, rows: Mapping[str, Tensor] | None) -> None:
        """Keep one finished sample."""


class Observer(Protocol):
    """Watches a run."""

    def step(self, step: StepRecord) -> None:
        """A sample made a step."""

    def result(self, record: Record) -> None:
        """A sample is finished."""

    def batch_reduced(self, event: BatchReduced) -> None:
        """A pass ran out of memory; passes are smaller from now on."""


def execute(session: Session, store: Store, indices: Iterable[int], observer: Observer | None = None) -> None:
    """Solve samples and keep them. If the run ends early, finished samples are kept and the store is closed.

    Raises:
        KeyboardInterrupt: after the store was closed as interrupted.
        Exception: whatever a component raised, after the store was closed as failed.
    """
    with ended(store):
        for event in session.run(indices):
            if isinstance(event, StepRecord):
                store.add_step(event)
                if observer:
                    observer.step(event)
            elif isinstance(event, BatchReduced):
                if observer:
                    observer.batch_reduced(event)
            else:
                record, rows = keep(session, event)
                store.add_result(record, rows)
                if observer:
                    observer.result(record)


@contextmanager
def ended(store: Ending) -> Iterator[None]:
    """End a run in its store when the samples are found, or when finding them has ended early, and say how."""
    started = time.monotonic()

    def finish(status: str, error: str | None = None) -> None:
        with held_signals():
            store.finish(status, time.monotonic() - started, error)

    try:
        yield
    except KeyboardInterrupt:
        finish(INTERRUPTED)
        raise
    except BaseException as error:
        with suppress(OSError):  # a disk that is full must not hide that it is
            finish(RUN_FAILED, f"{type(error).__name__}: {error}")
        raise
    finish(COMPLETE)


@torch.no_grad()
def keep(session: Session, result: Result) -> tuple[Record, dict[str, Tensor] | None]:
    """Record and tensors of a result; a sample that was judged before rounding is measured again after it.

    Where that raises an error, or the predictor does, the sample has failed.

    Raises:
        Exception: it raises it for prior samples, too, so that a component is at fault and not the sample.
    """
    kind = session.problem.kind
    if result.status == FAILED or result.answer is None:
        return Record.of(result, kind, start=session.start), None
    rows = {name: getattr(result.answer, name) for name in ("latents", "samples", "measurements")}
    seen = attempt(lambda: _seen(session, rows["samples"]), session.settings.time_limit)
    if isinstance(seen, BaseException):
        if is_out_of_memory(seen) or not _works(session):
            raise seen
        return Record.of(replace(result, status=FAILED, error=reason(seen)), kind, start=session.start), None
    saved, called = seen
    return Record.of(result, kind, saved, session.start, called), rows


def _seen(session: Session, samples: Tensor) -> tuple[Tensor | None, Called | None]:
    """Measurement as its file holds the sample, where it was judged before rounding, and the class of the sample."""
    saved, problem = None, session.problem
    if problem.kind.rounds and not problem.saved:
        saved = problem.objective.measure(problem.kind.rounded(samples).to(session.device))[0].float().cpu()
    return saved, session.call(samples)


def _works(session: Session) -> bool:
    """True if any of a few prior samples can be measured and called."""
    generator = session.problem.generator
    latents = prior_latents(generator, PROBES, 0, Stream.SPREAD).to(session.device)
    tried = (
        attempt(lambda row=row: _seen(session, generator.generate(row)), session.settings.time_limit)
        for row in latents.split(1)
    )
    return any(not isinstance(each, BaseException) for each in tried)
