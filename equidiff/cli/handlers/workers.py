"""Runs whose samples the workers of an executor find: the option `--executor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from equidiff.cli.options import State
from equidiff.contracts import BuildContext, Executor
from equidiff.parallel.prepare import Prepared, Question, prepare_with
from equidiff.registry.build import build
from equidiff.registry.specs import Spec
from equidiff.run.folder import RunFolder
from equidiff.run.reopen import reopen
from equidiff.run.session import Session
from equidiff.run.settings import Settings

INLINE = "inline"


class Workers:
    """The workers of an executor, until their run ends.

    Args:
        spec: of the executor.
        state: plugins and plugin files.
        device: of the run, as the user typed it.
        verbose: show what the executor's libraries log.

    Attributes:
        spec: in canonical form.
        executor: the executor itself.
    """

    def __init__(self, spec: str, state: State, device: str, verbose: bool) -> None:
        built = build(state.plugins(), "executor", spec, BuildContext(device=device, verbose=verbose))
        self.spec: str = built.spec
        self.executor: Executor = built.component
        self._state = state

    def prepare(self, settings: Settings) -> Prepared:
        """Have a worker prepare a run."""
        return prepare_with(self.executor, Question.of(settings, self._state.files, default_to_query=True))

    @property
    def fact(self) -> tuple[str, Any]:
        """A line about them, for the settings of the run."""
        count = self.executor.workers
        return "executor", f"{self.spec}, {count} worker{'s' * (count != 1)}"


@contextmanager
def open_workers(spec: str | None, state: State, device: str, verbose: bool) -> Iterator[Workers | None]:
    """The workers of the executor that the user named; None where this process does the work itself."""
    if spec is None or Spec.parse(spec).name == INLINE:
        yield None
        return
    workers = Workers(spec, state, device, verbose)
    try:
        yield workers
    finally:
        workers.executor.shutdown(wait=False, cancel_futures=True)


def open_here(folder: RunFolder, query_latent: Tensor | None, state: State) -> Session:
    """A session for this process, of a run whose samples workers have found."""
    info = folder.info
    own = info.specs.objective if info.specs.is_custom else None  # the user has named it
    return reopen(info, query_latent, state.plugins(), objective=own, files=state.files, device="cpu", path=folder.path)


def measure_samples(session: Session, samples: Tensor) -> Tensor:
    """Measurements of samples, wherever they are."""
    return session.problem.objective.measure(samples.to(session.problem.target.device))
