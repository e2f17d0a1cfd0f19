"""The settings of a run."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from equidiff.errors import UsageError, check_one_of

if TYPE_CHECKING:
    from equidiff.contracts import Generator, Law, Objective, ObjectiveFactory, Regularizer, Solver
    from equidiff.run.info import RunInfo

STARTS = ("prior", "query")
DTYPES = ("auto", "float32", "tf32", "bfloat16")
SAVED = ("uint8", "int16", "float")
MOST_BANKED, MOST_DIGITS = 1_000_000, 9
PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d{1,6})?)")  # p90


@dataclass(frozen=True)
class Settings:
    """The settings of a run; `equidiff.sample` describes each field."""

    generator: str | Generator = "toy"
    objective: str | Objective | ObjectiveFactory = "neuron:17"
    regularizer: str | Regularizer | None = None
    solver: str | Solver = "auto"
    query: Any = None
    target: Any = None
    samples: int = 16
    budget: float | None = None
    tolerance: float | str | None = None
    batch: int = 16
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    start: str = "prior"
    law: str | Law = "solve"
    saved: str = "uint8"
    time_limit: float | None = None
    bank: int | str | None = None
    effort: float | None = None

    def __post_init__(self) -> None:
        for name, good, expected in (
            ("samples", self.samples >= 1, "an integer of at least 1"),
            ("batch", self.batch >= 1, "an integer of at least 1"),
            ("seed", self.seed >= 0, "an integer of at least 0"),
            ("time_limit", self.time_limit is None or 0 < self.time_limit < math.inf, "seconds, a number above 0"),
            ("budget", self.budget is None or 0 < self.budget < math.inf, "a number above 0"),
            ("effort", self.effort is None or 0 < self.effort < math.inf, "evaluations, a number above 0"),
        ):
            if not good:
                raise UsageError(f"The value of {name} cannot be used.", given=getattr(self, name), expected=expected)
        if None not in (self.effort, self.budget) and self.effort != self.budget:
            raise UsageError(
                "An effort is a budget.",
                given=f"effort {self.effort:g} and budget {self.budget:g}",
                expected="one of them",
                hint=f"--effort {self.effort:g}, which keeps what comes nearest",
            )
        if self.tolerance is not None:
            parse_tolerance(self.tolerance)
        size_of_bank(self.bank)
        check_one_of("saved", self.saved, SAVED)
        check_one_of("dtype", self.dtype, DTYPES)
        check_one_of("start", self.start, STARTS)

    @classmethod
    def of(cls, info: RunInfo) -> Settings:
        """The settings that a run began with; its target as numbers, so that nothing is measured anew."""
        names = {field.name for field in fields(cls)} - {"query", "start"}
        recorded: dict[str, Any] = {name: value for name, value in info.settings.items() if name in names}
        return cls(**recorded | {"target": info.target.values, "samples": info.options.samples})


def size_of_bank(given: int | str | None) -> int:
    """Prior samples of the bank that a run uses: a number, or "none"; none when it is None.

    Raises:
        UsageError: it is neither.
    """
    text = "none" if given is None else str(given).strip()
    if text == "none":
        return 0
    if not text.isdecimal() or not text.isascii() or int(text[:MOST_DIGITS]) > MOST_BANKED or len(text) > MOST_DIGITS:
        raise UsageError(
            "The value of bank cannot be used.",
            given=given,
            expected=f"a number of prior samples up to {MOST_BANKED:,}, or none",
            hint="--bank 256",
        )
    return int(text)


@dataclass(frozen=True)
class Tolerance:
    """A tolerance as it was given.

    Attributes:
        value: the loss below which a sample is a member; if `relative`, the distance from the target within which a
            member lies, as a part of the spread of the measurement over prior samples.
        relative: True for a part of the spread.
    """

    value: float
    relative: bool


def parse_tolerance(given: float | str) -> Tolerance:
    """Read a tolerance: a number such as 0.01, or a percentage of the spread such as 5%.

    Raises:
        UsageError: it is neither, or not above 0.
    """
    text = str(given).strip()
    relative = text.endswith("%")
    try:
        value = float(text.removesuffix("%")) / (100 if relative else 1)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UsageError(
            "The value of tolerance cannot be used.",
            given=given,
            expected="a percentage above 0 of the spread over prior samples, or a loss above 0",
            hint="--tolerance 5%",
        )
    return Tolerance(value, relative)


def is_percentile(target: Any) -> bool:
    """True for a target such as `p90`, a percentile of the values of prior samples."""
    return isinstance(target, str) and PERCENTILE.fullmatch(target.strip()) is not None


def parse_percentile(target: str) -> float:
    """The number of a percentile such as `p90`.

    Raises:
        UsageError: it is above 100.
    """
    written = PERCENTILE.fullmatch(target.strip())
    assert written is not None
    value = float(written[1])
    if value > 100:
        raise UsageError("There is no such percentile.", given=target, expected="p0 to p100", hint="--target p90")
    return value
