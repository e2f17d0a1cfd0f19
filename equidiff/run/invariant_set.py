"""The invariant set: the result of a run in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, overload

import torch
from PIL import Image
from torch import Tensor

from equidiff.contracts.sample_kind import SampleKind
from equidiff.errors import RunFolderError
from equidiff.folders.paths import check_own
from equidiff.kinds.registry import kind_from
from equidiff.registry.manager import Plugins
from equidiff.run.card import MOST, SIDE, describe, draw_sheet, write_html
from equidiff.run.folder import (
    ROWS,
    Rows,
    RunFolder,
    load_samples,
    read_prior,
    read_query,
    rows_of_segment,
)
from equidiff.run.frames import import_pandas
from equidiff.run.info import Counts, RunInfo, read_info
from equidiff.run.member import Member, NearMiss, not_images
from equidiff.run.record import Record
from equidiff.run.reopen import reopen
from equidiff.run.session import Session
from equidiff.search.engine import FAILED, MEMBER, NOT_CONVERGED, StepRecord

LONGEST_SPEC = 60  # characters of a spec in a repr


@dataclass(frozen=True, eq=False, repr=False)
class InvariantSet:
    """A set as its run folder has it; `equidiff.InvariantSet`, which says what it does, adds the analyses.

    Attributes:
        info: the content of `run.json`: specs, target, seed, counts, versions.
        records: one for each sample asked for, members or not, in index order.
        rows: latents, samples and measurements of all records, in that order; not-a-number where one failed. Those of
            a run folder are read as they are asked for: `rows.take("samples", [3, 7])` reads two.
        query: `[1, ...]`, the query sample; None where the target was given as numbers.
        query_latent: `[1, *latent_shape]`, where the run started from it.
        prior: samples, measurements, losses and, where the network has any, classes of prior samples that the run
            measured before its search; empty for a run of before it did.
    """

    info: RunInfo
    records: tuple[Record, ...]
    rows: Rows
    query: Tensor | None
    _session: Session | None = None
    _steps: tuple[StepRecord, ...] = ()
    query_latent: Tensor | None = None
    prior: Mapping[str, Tensor] = field(default_factory=dict)

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
        """The members themselves, `[members, *sample_shape]`, as their files hold them, see `saved` of a run."""
        return self._rows_of_members("samples")

    @property
    def measurements(self) -> Tensor:
        """The measurements of the members, `[members, m]`, in `info.target.unit`."""
        return self._rows_of_members("measurements")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one member; empty where there are none."""
        return tuple(self[0].sample.shape) if len(self) else ()

    @property
    def near_misses(self) -> tuple[NearMiss, ...]:
        """The samples that did not converge, the nearest to the target first: they are no members."""
        missed = [
            n for n, record in enumerate(self.records) if record.status == NOT_CONVERGED and record.loss is not None
        ]
        missed.sort(key=lambda position: self.records[position].loss or 0.0)
        return tuple(NearMiss.of(self._member(position), self.info) for position in missed)

    @property
    def kind(self) -> SampleKind:
        """The kind of the samples, as `run.json` names it, or as their shape says.

        Raises:
            RunFolderError: the file describes none that is known.
        """
        return kind_from(self.info.kind, self.sample_shape)

    @property
    def images(self) -> list[Image.Image]:
        """The members as 8-bit images, as `equidiff run` saves them.

        Raises:
            UnsupportedError: the samples are not images.
        """
        return [member.image for member in self]

    @property
    def target(self) -> Tensor:
        """The target y*, `[m]`."""
        return torch.tensor(self.info.target.values)

    def __len__(self) -> int:
        return sum(record.status == MEMBER for record in self.records)

    def __iter__(self) -> Iterator[Member]:
        return map(self._member, self._positions())

    @overload
    def __getitem__(self, position: int) -> Member: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[Member, ...]: ...
    def __getitem__(self, position: int | slice) -> Member | tuple[Member, ...]:
        chosen = self._positions()[position]
        return self._member(chosen) if isinstance(chosen, int) else tuple(map(self._member, chosen))

    def __repr__(self) -> str:
        specs = self.info.specs
        objective, generator = (_shortened(spec) for spec in (specs.objective, specs.generator))
        counts = f"{len(self)} of {self.info.counts.asked} samples are members"
        return f"<InvariantSet of {objective} in {generator}: {counts}, {self.info.target}>"

    def show(self) -> None:
        """Show the query and up to 32 members, in the notebook or in the system's image viewer.

        Raises:
            UnsupportedError: the samples cannot be drawn one by one.
        """
        sheet = self._sheet()
        if sheet is None:
            raise not_images(self.kind, self.sample_shape)
        sheet.show()

    def _sheet(self) -> Image.Image | None:
        kind = self.kind
        tiles = [kind.tile(member.sample, SIDE) for member in self[:MOST]]
        query = None if self.query is None else kind.tile(self.query[0], SIDE)
        drawn = [tile for tile in tiles if tile is not None]
        return draw_sheet(query, drawn) if drawn else None

    def _repr_html_(self) -> str:
        single = len(self.info.target.values) == 1
        sentence = describe(self.info, len(self), self.measurements if single else torch.empty(0))
        return write_html(self.info, sentence, self._sheet())

    def __getstate__(self) -> dict[str, Any]:
        # the session has networks and code of the user's own, which may not pickle; contains() builds it again
        return {**vars(self), "_session": None}

    def __copy__(self) -> InvariantSet:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> InvariantSet:
        return replace(self, **deepcopy(self.__getstate__(), memo) | {"_session": self._session})

    def contains(self, samples: Tensor) -> Tensor:
        """Test samples for membership: the loss of each is below the tolerance.

        Its views count, and so does a penalty, unless that is of the latents, which samples do not tell.

        Args:
            samples: `[batch, *sample_shape]`, for instance members, or images of your own.

        Returns:
            `[batch]`, bool.

        Raises:
            RunFolderError: the set was loaded or unpickled, and its weights have changed since; or it was made with
                objects, or with code of your own: `open_finished` reads such a run where that code is named again.
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
        shapes = [self.rows.take(name, [0]).shape[1:] for name in self.rows]
        counts = Counts(asked=self.info.counts.asked)
        info = self.info.model_copy(update={"counts": counts, "segment": rows_of_segment(shapes)})
        folder = RunFolder.create(Path(path).expanduser(), info, self.query, self.query_latent, self.prior)
        for step in self._steps:
            folder.add_step(step)
        for position, record in enumerate(self.records):
            rows = None if record.status == FAILED else {name: self.rows.take(name, [position]) for name in ROWS}
            folder.add_result(record, rows)
        folder.finish(self.info.status, self.info.wall_s or 0.0, self.info.error)
        return folder.path

    @classmethod
    def load(cls, path: str | Path) -> InvariantSet:
        """Read a run folder, as `equidiff.load` does."""
        folder = Path(path).expanduser()
        check_own(folder)
        info, of_query = read_info(folder), read_query(folder)
        query, latent = of_query.get("query"), of_query.get("query_latent")
        return cls(info, *load_samples(folder, info), query, query_latent=latent, prior=read_prior(folder))

    def to_pandas(self) -> Any:
        """Make a `pandas.DataFrame` of all records, members or not: a row for each sample, by its index in the run.

        Its columns are the attributes of `Record`. The measurements of an objective with one output are numbers; those
        of one with several are lists, and `measurements` has them as a matrix.

        Raises:
            PluginError: pandas is not installed.
        """
        pandas = import_pandas()
        columns = {each.name: [getattr(record, each.name) for record in self.records] for each in fields(Record)}
        if len(self.info.target.values) == 1:
            for name in ("measurement", "measurement_saved"):
                columns[name] = [values[0] if values else None for values in columns[name]]
        return pandas.DataFrame(columns).set_index("index")

    def _positions(self) -> list[int]:
        """Positions of the members among the records."""
        return [position for position, record in enumerate(self.records) if record.status == MEMBER]

    def _member(self, position: int) -> Member:
        record = self.records[position]
        if not self.rows:
            raise RunFolderError(
                "This set has records without samples.",
                given=f"status {self.info.status}",
                expected="a run that has ended",
                hint="equidiff run --resume RUN",
            )
        of_sample = ("samples", "measurements", "latents")
        sample, measurement, latent = (self.rows.take(name, [position])[0] for name in of_sample)
        return Member(record, sample, measurement, latent, kind_from(self.info.kind, sample.shape))

    def _rows_of_members(self, name: str) -> Tensor:
        return self.rows.take(name, self._positions()) if self.rows else torch.empty(0)


def _shortened(spec: str) -> str:
    return spec if len(spec) <= LONGEST_SPEC else spec[: LONGEST_SPEC - 1] + "…"
