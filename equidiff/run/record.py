"""The record of one finished sample: a line of `members.jsonl`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter
from torch import Tensor

from equidiff.contracts.sample_kind import SampleKind
from equidiff.folders import text
from equidiff.search.engine import Result
from equidiff.search.starts import QueryStart, start_angle

Whole = Annotated[int, Field(ge=0, lt=2**63)]
Status = Annotated[str, Field(pattern="^(member|not_converged|failed)$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Source = Annotated[str, Field(pattern=r"^bank:\d{1,18}$")]
# inside the run folder, whoever wrote it
ImagePath = Annotated[str, Field(pattern=r"^images/(\d+/)?\d+\.png$")]
FilePath = Annotated[str, Field(pattern=r"^sounds/(\d+/)?\d+\.wav$")]


@dataclass(frozen=True)
class Called:
    """A class that a network gives a sample.

    Attributes:
        index: of the class.
        name: of the class.
        probability: that the network gives to it, in [0, 1]; no other class has a higher one.
    """

    index: Whole
    name: str
    probability: Finite


@dataclass(frozen=True)
class Record:
    """One finished sample. Numbers that were not measured are None, and absent from the file.

    Attributes:
        index: of the sample in the run.
        status: "member", "not_converged" or "failed".
        steps: the solver's iterations, and the law's.
        evaluations: their cost; one is a forward and a backward pass.
        forwards: forward passes through generator and objective; its share of those that a block shares.
        backwards: backward passes.
        wall_s: seconds from its start to its end, shared with the samples that ran beside it.
        loss: of the sample and its views together.
        loss_unfiltered: the sample's own share.
        loss_filtered: the views' share.
        measurement: f(x), m numbers, of the sample as its file holds it, such as an 8-bit image, unless the run was
            asked to judge samples before rounding.
        measurement_saved: f of the sample as its file holds it, where it was judged before rounding.
        called: the class that the network gives to the sample.
        outside: root mean square distance of the sample's numbers from the range of their kind, before it is clamped:
            of an image's pixels from [0, 1], of a sound's amplitudes from [-1, 1], of columns from their ranges.
            Absent for points.
        latent_norm: |z| / sqrt(d); 1 is typical of the prior.
        distance: angle between the latent and the query's, in radians, if the run started from the query.
        start_angle: the angle at which the sample started, likewise.
        image: path of the image inside the run folder.
        file: path of a sample's file that is no image, likewise.
        error: the reason why the sample failed.
        moves: transitions along the set that the law proposed; None where it makes none.
        accepted: those that were accepted.
        source: the sample of the bank that it is, or that its law began at, as in "bank:17"; None where it was searched
            for.
    """

    index: Whole
    status: Status
    steps: Whole
    evaluations: Finite
    forwards: Finite
    backwards: Finite
    wall_s: Finite
    loss: Finite | None = None
    loss_unfiltered: Finite | None = None
    loss_filtered: Finite | None = None
    measurement: list[Finite] | None = None
    measurement_saved: list[float] | None = None
    called: Called | None = None
    outside: Finite | None = None
    latent_norm: Finite | None = None
    distance: Finite | None = None
    start_angle: Finite | None = None
    image: ImagePath | None = None
    file: FilePath | None = None
    error: str | None = None
    moves: Whole | None = None
    accepted: Whole | None = None
    source: Source | None = None

    @property
    def own_file(self) -> str | None:
        """Path of the sample's own file inside the run folder, whatever its kind."""
        return self.image or self.file

    @property
    def shown_values(self) -> list[float]:
        """Measurement as it is shown: of the sample as its file holds it, also where it was judged before rounding."""
        return self.measurement_saved or self.measurement or []

    @classmethod
    def of(
        cls,
        result: Result,
        kind: SampleKind,
        saved: Tensor | None = None,
        start: QueryStart | None = None,
        called: Called | None = None,
    ) -> Record:
        """Describe a result.

        Args:
            result: of the engine.
            kind: of the samples.
            saved: the measurement `[m]` of the sample as its file holds it, where it was judged before rounding.
            start: of the run, if it started from the query.
            called: the class that the network gives to the sample.
        """
        cost, answer = result.cost, result.answer
        known: dict[str, Any] = {} if answer is None else {
            "loss": _finite(answer.loss),
            "loss_unfiltered": _finite(answer.loss_unfiltered),
            "loss_filtered": None if answer.loss_filtered is None else _finite(answer.loss_filtered),
            "measurement": answer.measurements[0].tolist() if answer.measurements.isfinite().all() else None,
            "outside": _finite(answer.outside) if kind.bounded else None,
            "latent_norm": _finite(answer.latents.norm() / math.sqrt(answer.latents.numel())),
        }  # fmt: skip
        if start is not None:
            known["start_angle"] = start_angle(result.index)
            if answer is not None and answer.latents.isfinite().all():
                known["distance"] = start.distance(answer.latents)
        return cls(
            result.index,
            result.status,
            result.steps,
            round(cost.evaluations, 3),
            round(cost.forwards, 3),
            round(cost.backwards, 3),
            round(result.wall_s, 3),
            **known,
            measurement_saved=None if saved is None else saved.tolist(),
            called=called,
            error=result.error,
            moves=None if result.transitions is None else result.transitions.proposed,
            accepted=None if result.transitions is None else result.transitions.accepted,
            source=None if result.banked is None else f"bank:{result.banked}",
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Record:
        """Read a line of `members.jsonl`; keys of later versions are ignored.

        Raises:
            ValueError: a value is missing, or is of another kind.
        """
        return _records().validate_python(values)

    def to_json(self) -> str:
        """One line of `members.jsonl`."""
        return text.to_json(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The values of a line of `members.jsonl`."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return known if self.called is None else known | {"called": vars(self.called)}


@cache
def _records() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def _finite(value: Tensor) -> float | None:
    number = float(value.reshape(()) if value.ndim else value)
    return number if torch.isfinite(value).all() else None
