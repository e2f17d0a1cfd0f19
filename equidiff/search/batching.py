"""Computing many rows in passes of equal size, in smaller ones where memory is short, and one by one where one fails.

Kernels sum in another order for another number of rows, so a row's last digits depend on how many others are in its
pass, though not on which. On a CPU every pass of a run therefore has the same number of rows, the last one repeated
where there are too few, and a sample is the same to the last bit whatever runs beside it. Rows that come together
however a run is divided, such as the candidates of a block, fill larger passes.
"""

from __future__ import annotations

import math
import time
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from equidiff.contracts import (
    Answer,
    Equation,
    PassRequest,
    SampleJacobian,
    SamplerRequest,
    Split,
    Stored,
    StoredJacobian,
    Value,
)
from equidiff.devices import is_out_of_memory
from equidiff.numerics.random import Stream, prior_latents
from equidiff.search.attempt import TimeLimitError, attempt
from equidiff.search.problem import Problem

ROWS = 4  # where passes are not of one size: kernels mostly agree for multiples of this
MANY, FEW = 16, 4  # rows of passes that are all of one size
SMALL = 256  # numbers in a sample
PROBES = 4  # prior samples that are tried where all rows of a pass fail


@dataclass(frozen=True)
class BatchReduced:
    """The device ran out of memory; passes are smaller from now on.

    Attributes:
        rows: rows in the pass that failed.
        batch: most rows in a pass from now on.
    """

    rows: int
    batch: int


class Computed(NamedTuple):
    """The rows of a request, computed.

    Attributes:
        answer: a row each; one that failed holds NaN, and an infinite loss. None where all failed.
        failures: the errors of the rows that failed.
    """

    answer: Answer | None
    failures: dict[int, BaseException]


@dataclass
class _Room:
    """The most rows for which memory has sufficed so far."""

    rows: int


class Passes:
    """Computes requests, at most `batch` rows in a pass.

    Args:
        batch: rows in a pass; halved whenever a pass runs out of memory, as long as it has more than one.
        width: rows in every pass, fewer where the batch is smaller; up to `batch` rows, as they come, when None.
        time_limit: seconds that one row may take; no limit when None.

    Attributes:
        news: what happened since it was last emptied.
        width: rows in every pass, as given.
    """

    def __init__(self, batch: int, width: int | None = None, time_limit: float | None = None) -> None:
        self._room = _Room(batch)
        self.news: list[BatchReduced] = []
        self.width, self._time_limit = width, time_limit
        self._usual = 0.0  # seconds that a pass of many rows takes, where it takes longer than one row may

    @property
    def batch(self) -> int:
        """Most rows in a pass: as given, or fewer where memory did not suffice."""
        return self._room.rows

    @cached_property
    def wide(self) -> Passes:
        """The same, in passes of sixteen rows where all have one size: for rows that come together in every run.

        Memory that does not suffice for these is short for the others, too, and the news are the same.
        """
        other = copy(self)
        other.width = None if self.width is None else MANY
        return other

    @property
    def rows(self) -> int:
        """Rows of a full pass: a power of two where all have one size, so that few sizes differ from one another."""
        if self.width is None:
            return self.batch
        return min(self.width, 1 << (self.batch.bit_length() - 1))

    def compute(self, request: PassRequest, equation: Equation) -> Computed:
        """The answer to a request, its rows in their order.

        A pass that raises an error, or takes too long, is repeated row by row.

        Raises:
            Exception: not even one row fits into memory; or all rows failed, and prior samples fail too, so that the
                component is at fault and not the rows.
        """
        pieces: list[Answer | BaseException] = []
        start, rows = 0, len(request.latents)
        while start < rows:
            piece = request.take(slice(start, start + self.rows))
            found = self._try(piece, equation)
            if found is None:
                continue  # in smaller passes
            pieces += self._repeated(piece, equation, found) if isinstance(found, BaseException) else [found]
            start += len(piece.latents)
        return _joined(pieces, request)

    def _repeated(self, request: PassRequest, equation: Equation, error: BaseException) -> list[Answer | BaseException]:
        """The rows of a pass that failed, one by one."""
        started = time.monotonic()
        found = self._one_by_one(request, equation) if len(request.latents) > 1 else [error]
        errors = [each for each in found if isinstance(each, BaseException)]
        if len(errors) == len(found) and not self._works(request, equation):
            raise errors[0]
        if isinstance(error, TimeLimitError) and not errors:
            self._usual = 2 * (time.monotonic() - started)  # nobody's fault: the limit is one of a single row
        return found

    def _one_by_one(self, request: PassRequest, equation: Equation) -> list[Answer | BaseException]:
        found: list[Answer | BaseException] = []
        while len(found) < len(request.latents):
            row = self._try(request.take(slice(len(found), len(found) + 1)), equation)
            if row is not None:
                found.append(row)
        return found

    def _try(self, request: PassRequest, equation: Equation) -> Answer | BaseException | None:
        """The answer, the error that the pass raised, or None where memory did not suffice and it shrank."""
        request, count = self._padded(request)
        limit = self._time_limit if self._time_limit is None or count == 1 else max(self._time_limit, self._usual)
        found = attempt(lambda: request.run(equation), limit)
        if not isinstance(found, BaseException):
            return found.rows(0, count) if count < len(request.latents) else found
        if not is_out_of_memory(found):
            return found
        if len(request.latents) == 1:
            raise found
        del found  # the failed pass is held by the error's traceback
        self._reduce(len(request.latents))
        return None

    def _padded(self, request: PassRequest) -> tuple[PassRequest, int]:
        """The request with its last row repeated as often as its pass has room for, and the rows that count."""
        count = len(request.latents)
        missing = self.rows - count if self.width is not None else -count % ROWS
        if missing <= 0 or count + missing > self.batch:
            return request, count
        return PassRequest.join([request, *[request.take(slice(count - 1, count))] * missing]), count

    def _reduce(self, rows: int) -> None:
        self._room.rows = max(1, rows // 2)
        self.news.append(BatchReduced(rows, self.batch))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # what is cached in pieces of the old size may not serve the new one

    def _works(self, request: PassRequest, equation: Equation) -> bool:
        """True if any prior sample can be computed in this way."""
        latents = prior_latents(equation.generator, PROBES, 0, Stream.SPREAD).to(request.latents.device)
        if isinstance(request, SamplerRequest):
            probe: PassRequest = replace(request, latents=latents, tail=False)
        elif isinstance(request, Stored):
            probe = SampleJacobian(latents) if isinstance(request, StoredJacobian) else Value(latents)
        else:
            probe = Split(latents)
        return any(not isinstance(each, BaseException) for each in self._one_by_one(probe, equation))


def width_of(problem: Problem) -> int | None:
    """Rows that every pass of a run has on a CPU; None on other devices, where they have as many as there are.

    Networks of small samples compute many rows in the time of one. Those of images gain little beyond a few, and rows
    that only fill a pass cost as much as others: with four, little is lost when the last samples are left alone.
    """
    if problem.target.device.type != "cpu":
        return None
    return MANY if math.prod(problem.generator.sample_shape) <= SMALL else FEW


def _joined(pieces: list[Answer | BaseException], request: PassRequest) -> Computed:
    good = [each for each in pieces if not isinstance(each, BaseException)]
    if len(good) == len(pieces):
        return Computed(Answer.join(good), {})
    nothing = _without_numbers(good[0].rows(0, 1)) if good else None
    filled: list[Answer] = []
    failures: dict[int, BaseException] = {}
    row = 0
    for piece in pieces:
        if not isinstance(piece, BaseException):
            filled.append(piece)
            row += len(piece.latents)
            continue
        failures[row] = piece
        if nothing is not None:
            filled.append(replace(nothing, latents=request.latents[row : row + 1]))
        row += 1
    return Computed(Answer.join(filled) if filled else None, failures)


def _without_numbers(answer: Answer) -> Answer:
    """An answer of the same shapes that holds NaN, and an infinite loss."""
    values = {
        name: torch.full_like(value, torch.nan) for name, value in vars(answer).items() if isinstance(value, Tensor)
    }
    return type(answer)(**vars(answer) | values | {"loss": torch.full_like(answer.loss, torch.inf)})
