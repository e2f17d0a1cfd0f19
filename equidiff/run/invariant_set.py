"""The invariant set: the result of a run in Python."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equidiff.contracts import Generator, Law, Objective, Regularizer, Solver
from equidiff.folders.status import RUNNING
from equidiff.registry.manager import Plugins
from equidiff.run.execute import Observer, execute
from equidiff.run.folder import OF_QUERY, ROWS, RunFolder, read_records, read_tensors, summarize
from equidiff.run.info import Counts, RunInfo, read_info
from equidiff.run.record import Record
from equidiff.run.reopen import reopen
from equidiff.run.session import Session, prepare
from equidiff.run.settings import Settings
from equidiff.search.engine import FAILED, MEMBER, StepRecord

LONGEST_SPEC = 60  # characters of a spec in a repr


@dataclass(frozen=True, eq=False, repr=False)
class InvariantSet:
    """Samples that a network cannot tell from the query.

    Attributes:
        info: the content of `run.json`: specs, target, seed, counts, versions.
        records: one for each sample asked for, members or not, in index order.
        rows: latents, samples and measurements of all records, in that order; not-a-number where one failed.
        query: `[1, ...]`, the query sample; None where the target was given as numbers.
        query_latent: `[1, *latent_shape]`, where the run started from it.
    """

    info: RunInfo
    records: tuple[Record, ...]
    rows: Mapping[str, Tensor]
    query: Tensor | None
    _session: Session | None = None
    _steps: tuple[StepRecord, ...] = ()
    query_latent: Tensor | None = None

    @property
    def members(self) -> tuple[Record, ...]:
        """The records of the members."""
        return tuple(record for record in self.records if record.status == MEMBER)

    @property
    def latents(self) -> Tensor:
        """The members' latents, `[members, *latent_shape]`."""
        return self._rows_of_members("latents")

    @property
    def samples(self) -> Tensor:
        """The members themselves, `[members, *sample_shape]`; images nominally in [0, 1], not clamped."""
        return self._rows_of_members("samples")

    @property
    def measurements(self) -> Tensor:
        """The measurements of the members, `[members, m]`, in `info.target.unit`."""
        return self._rows_of_members("measurements")

    @property
    def target(self) -> Tensor:
        """The target y*, `[m]`."""
        return torch.tensor(self.info.target.values)

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        specs = self.info.specs
        objective, generator = (_shortened(spec) for spec in (specs.objective, specs.generator))
        counts = f"{len(self)} of {self.info.counts.asked} samples are members"
        return f"<InvariantSet of {objective} in {generator}: {counts}, {self.info.target}>"

    def contains(self, samples: Tensor) -> Tensor:
        """Test samples for membership: the loss of each is below the tolerance.

        Its views count, and so does a penalty, unless that is of the latents, which samples do not tell.

        Args:
            samples: `[batch, *sample_shape]`, for instance members, or images of your own.

        Returns:
            `[batch]`, bool.

        Raises:
            RunFolderError: the set was loaded, and its weights have changed since; or it was made with objects, or with
                code of your own: `open_finished` reads such a run where that code is named again.
        """
        session = self._session or reopen(self.info, self.query_latent, Plugins(), device="cpu")
        problem = session.problem
        with torch.no_grad():
            _, loss = problem.judge(samples.to(problem.target.device))
        return (loss < self.info.tolerance).cpu()

    def save(self, path: str | Path) -> Path:
        """Write the set as a run folder, as `equidiff run` would.

        Args:
            path: where nothing is yet; a leading `~` is the user's home.

        Returns:
            The path of the folder.

        Raises:
            RunFolderError: something is there already, or it cannot be written.
        """
        info = self.info.model_copy(update={"counts": Counts(asked=len(self.records))})
        folder = RunFolder.create(Path(path).expanduser(), info, self.query, self.query_latent)
        for step in self._steps:
            folder.add_step(step)
        for position, record in enumerate(self.records):
            rows = None if record.status == FAILED else {n: self.rows[n][position : position + 1] for n in ROWS}
            folder.add_result(record, rows)
        folder.finish(self.info.status, self.info.wall_s or 0.0, self.info.error)
        return folder.path

    @classmethod
    def load(cls, path: str | Path) -> InvariantSet:
        """Read a run folder, as `equidiff.load` does."""
        folder = Path(path).expanduser()
        info, tensors = read_info(folder), read_tensors(folder)
        query, latent = (tensors.pop(name, None) for name in OF_QUERY)
        return cls(info, tuple(read_records(folder)), tensors, query, query_latent=latent)

    def _rows_of_members(self, name: str) -> Tensor:
        if not self.rows:
            return torch.empty(0)
        chosen = [position for position, record in enumerate(self.records) if record.status == MEMBER]
        return self.rows[name][chosen]


def _shortened(spec: str) -> str:
    return spec if len(spec) <= LONGEST_SPEC else spec[: LONGEST_SPEC - 1] + "…"


def load(path: str | Path) -> InvariantSet:
    """Read a run folder. Loads no component and runs no code.

    Args:
        path: the folder that `equidiff run` or `InvariantSet.save` wrote; a leading `~` is the user's home.

    Raises:
        RunFolderError: it is no run folder, or damaged.
    """
    return InvariantSet.load(path)


class _Memory:
    """Keeps a run in memory."""

    def __init__(self) -> None:
        self.steps: list[StepRecord] = []
        self.kept: dict[int, tuple[Record, Mapping[str, Tensor] | None]] = {}
        self.status, self.wall_s = RUNNING, 0.0

    def add_step(self, step: StepRecord) -> None:
        self.steps.append(step)

    def add_result(self, record: Record, rows: Mapping[str, Tensor] | None) -> None:
        self.kept[record.index] = (record, rows)

    def finish(self, status: str, wall_s: float, error: str | None = None) -> None:
        self.status, self.wall_s = status, wall_s


def sample(
    generator: str | Generator = "toy",
    objective: str | Objective = "neuron:17",
    regularizer: str | Regularizer | None = None,
    solver: str | Solver = "auto",
    *,
    query: Any = None,
    target: Any = None,
    samples: int = 16,
    budget: float | None = None,
    tolerance: float | None = None,
    batch: int = 16,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "float32",
    start: str = "prior",
    law: str | Law = "solve",
    plugins: Plugins | None = None,
    observer: Observer | None = None,
) -> InvariantSet:
    """Sample the invariant set of a query.

    Args:
        generator: a spec string such as "toy:fashion", or a Generator.
        objective: a spec string such as "neuron:block3.17", or an Objective.
        regularizer: a spec string or a Regularizer; "lowpass" for images and "none" for points when None.
        solver: a spec string or a Solver.
        query: an index into the generator's own queries, an image or its path, or one sample as a tensor.
        target: the measurement to reach, in place of a query: a number, several, or text with commas.
        samples: how many to try for.
        budget: evaluations a sample may cost; the solver's own when None.
        tolerance: loss below which a sample is a member; the solver's own when None.
        batch: samples in one pass through generator and objective.
        seed: sample i depends on `(seed, i)` alone.
        device: a torch device, or "auto".
        dtype: "float32", or "bfloat16" for autocast inside generators that have it.
        start: "prior", or "query": from the query's own latent, samples near it and far from it alike. Needs a
            generator that inverts samples.
        law: "solve" for members as the solver finds them, "conditional" for the prior given that they are members; a
            spec string or a Law. What its moves cost is not held against the budget.
        plugins: where spec strings are looked up; the installed plugins when None.
        observer: is told of each step and each finished sample.

    Returns:
        The set; samples that did not converge are among its records, never among its members.

    Raises:
        EquiDiffError: a spec, an option, the query or the target cannot be used.
    """
    settings = Settings(
        generator, objective, regularizer, solver, query, target,
        samples, budget, tolerance, batch, seed, device, dtype, start, law,
    )  # fmt: skip
    session = prepare(settings, plugins or Plugins())
    if session.inversion is not None and session.inversion.warning is not None:
        warnings.warn(session.inversion.warning, stacklevel=2)
    memory = _Memory()
    execute(session, memory, range(samples), observer)
    kept = [memory.kept[index] for index in sorted(memory.kept)]
    records = tuple(record for record, _ in kept)
    info = session.describe().began().ended(memory.status, memory.wall_s, *summarize(records, samples))
    done = [rows for _, rows in kept if rows is not None]
    blank = {name: torch.full_like(done[0][name], torch.nan) for name in ROWS} if done else {}
    rows = {name: torch.cat([(each or blank)[name] for _, each in kept]) for name in ROWS} if done else {}
    query_sample = None if session.query is None else session.query.sample
    latent = None if session.start is None else session.start.latent
    return InvariantSet(info, records, rows, query_sample, session, tuple(memory.steps), latent)
