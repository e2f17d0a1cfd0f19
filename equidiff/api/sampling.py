"""`equidiff.sample`: a run in Python, kept in memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from equidiff.api.invariant_set import InvariantSet
from equidiff.api.progress import ProgressBar, is_watched
from equidiff.contracts import Generator, Law, Objective, ObjectiveFactory, Regularizer, Solver
from equidiff.devices import usual_torch_state
from equidiff.errors import EquiDiffError, first_line
from equidiff.folders.status import RUNNING
from equidiff.registry.manager import Plugins
from equidiff.run.execute import Observer, execute
from equidiff.run.folder import finished_info, stack_rows
from equidiff.run.record import Record
from equidiff.run.session import Session, prepare
from equidiff.run.settings import Settings
from equidiff.search.engine import StepRecord


class SamplingError(EquiDiffError):
    """A component or an observer raised an error after samples were finished. Its `__cause__` is that error.

    In a notebook, `sys.last_value.found` has the samples of the last cell that failed.

    Attributes:
        found: the set of the finished samples; its `info.status` is "failed".
    """

    def __init__(self, problem: str, found: InvariantSet) -> None:
        super().__init__(problem, given=_finished(found), hint="error.found, which has the finished samples")
        self.found = found

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.found)


class _Memory:
    """Keeps a run in memory."""

    def __init__(self) -> None:
        self.steps: list[StepRecord] = []
        self.kept: dict[int, tuple[Record, Mapping[str, Tensor] | None]] = {}
        self.status, self.wall_s = RUNNING, 0.0
        self.error: str | None = None

    def add_step(self, step: StepRecord) -> None:
        self.steps.append(step)

    def add_result(self, record: Record, rows: Mapping[str, Tensor] | None) -> None:
        self.kept[record.index] = (record, rows)

    def finish(self, status: str, wall_s: float, error: str | None = None) -> None:
        self.status, self.wall_s, self.error = status, wall_s, error

    def found(self, session: Session) -> InvariantSet:
        """The set of the samples that were kept."""
        kept = [self.kept[index] for index in sorted(self.kept)]
        records = tuple(record for record, _ in kept)
        info = finished_info(session.describe().began(), records, self.status, self.wall_s, self.error)
        rows = stack_rows([rows for _, rows in kept])
        query = session.kept_query
        latent = None if session.start is None else session.start.latent
        return InvariantSet(info, records, rows, query, session, tuple(self.steps), latent, session.prior_tensors)


@usual_torch_state()
def sample(
    generator: str | Generator = "toy",
    objective: str | Objective | ObjectiveFactory = "neuron:17",
    regularizer: str | Regularizer | None = None,
    solver: str | Solver = "auto",
    *,
    query: Any = None,
    target: Any = None,
    samples: int = 16,
    budget: float | None = None,
    tolerance: float | str | None = None,
    batch: int = 16,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    start: str = "prior",
    law: str | Law = "solve",
    saved: str = "uint8",
    time_limit: float | None = None,
    bank: int | str | None = None,
    effort: float | None = None,
    plugins: Plugins | None = None,
    observer: Observer | None = None,
    progress: bool | None = None,
) -> InvariantSet:
    """Sample the invariant set of a query.

    Args:
        generator: a spec string such as "toy:fashion", or a Generator.
        objective: a spec string such as "neuron:block3.17"; a network in memory, as in `equidiff.classifier(module,
            "zebra", ...)`; or an Objective.
        regularizer: a spec string or a Regularizer; "lowpass" for images and "none" for other samples when None.
        solver: a spec string or a Solver.
        query: an index into the generator's own queries, an image or its path, or one sample as a tensor or a numpy
            array. An array of uint8 is an image, H x W or H x W x 3; an array of floats is in [0, 1] in these layouts,
            or C x H x W like a tensor. "prior" is a prior sample: of 64, the one with the highest measurement where the
            objective is sparse, else the median one; "prior:12" is one of them.
        target: the measurement to reach, in place of a query: a number, several, or text with commas.
        samples: how many to try for.
        budget: evaluations a sample may cost; the solver's own when None.
        tolerance: how near to the target a member lies: "5%" is a part of how much the measurement varies over prior
            samples, and 0.01 is a loss; the solver's own when None, which is "8%" for most.
        batch: samples in one pass through generator and objective.
        seed: sample i depends on `(seed, i)` alone.
        device: a torch device, or "auto".
        dtype: "float32", "tf32" for float32 whose matrix products keep ten bits, or "bfloat16" inside generators that
            have it. "auto" is tf32 on a CUDA GPU, where it sets torch's float32 precision for the process, and float32
            elsewhere, and for laws.
        start: "prior", or "query": from the query's own latent, samples near it and far from it alike. Needs a
            generator that inverts samples.
        law: "solve" for members as the solver finds them, "conditional" for the prior given that they are members; a
            spec string or a Law. What its moves cost is not held against the budget.
        saved: "uint8" to judge and measure a sample as its file holds it, an image clamped and rounded to 8 bits, a
            sound to 16; "float" to judge it before. Points and rows of a table are never rounded.
        time_limit: seconds that one pass of one sample through generator and objective may take; a sample that hangs
            has failed then, and the others go on. No limit when None. A pass is interrupted in the main thread alone,
            and not on Windows; elsewhere the limit is looked at when a pass has ended.
        bank: prior samples to take members and starts from, a number or "none". They are made once for all runs of a
            generator and kept in the user's cache. The first samples of the set are those of the bank that are
            members, and cost nothing more; the next ones start from its samples that are nearest to the target.
        effort: evaluations a sample may cost, in place of `budget`, where the samples that come nearest to the target
            are of use though they are no members: `found.near_misses` has them, with their distances.
        plugins: where spec strings are looked up; the installed plugins when None.
        observer: is told of each step and each finished sample.
        progress: show a bar; by default where stderr is a terminal, and in notebooks.

    Returns:
        The set; samples that did not converge are among its records, never among its members. Where Ctrl-C interrupts
            the run, the finished samples, with a warning; its `info.status` is "interrupted".

    Raises:
        EquiDiffError: a spec, an option, the query or the target cannot be used.
        SamplingError: a component or the observer raised an error when samples were finished; `error.found` has them.
        Exception: such an error, or Ctrl-C, when none was finished, as it was raised.
    """
    settings = Settings(
        generator, objective, regularizer, solver, query, target,
        samples, budget, tolerance, batch, seed, device, dtype, start, law, saved, time_limit, bank, effort,
    )  # fmt: skip
    session = prepare(settings, plugins or Plugins())
    if session.inversion is not None and session.inversion.warning is not None:
        warnings.warn(session.inversion.warning, stacklevel=3)
    for warning in session.warnings:
        warnings.warn(warning, stacklevel=3)
    memory = _Memory()
    try:
        _execute(session, memory, observer, is_watched() if progress is None else progress)
    except KeyboardInterrupt:
        if not memory.kept:
            raise
        found = memory.found(session)
        warnings.warn(f"Interrupted: {_finished(found)}, and the set has these.", stacklevel=3)
        return found
    except Exception as error:
        if not memory.kept:
            raise
        problem = f"Sampling ended early: {type(error).__name__}: {first_line(error)}"
        raise SamplingError(problem, memory.found(session)) from error
    return memory.found(session)


def _execute(session: Session, memory: _Memory, observer: Observer | None, progress: bool) -> None:
    samples = session.settings.samples
    if not progress:
        execute(session, memory, range(samples), observer)
        return
    with ProgressBar(samples, session.tolerance, observer) as bar:
        execute(session, memory, range(samples), bar)


def _finished(found: InvariantSet) -> str:
    return f"{len(found.records)} of {found.info.counts.asked} samples are finished"
