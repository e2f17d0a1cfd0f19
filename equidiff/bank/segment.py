"""Segments of a bank: some of its samples, as they are made and as they are stored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from equidiff.bank.key import FLOAT32, UINT8
from equidiff.bank.store import Damaged, read_file, write_file
from equidiff.contracts import Generator, Objective, Regularizer, Value
from equidiff.numerics.random import Stream
from equidiff.search.batching import Passes, width_of
from equidiff.search.problem import Problem
from equidiff.types import Measurements, Samples

BATCH = 16  # rows in a pass, where they fit: the same for every run, so that all find the same bank
SEGMENT_BYTES, MOST_ROWS = 8 * 2**20, 1024


@dataclass(frozen=True)
class Segment:
    """Samples of a bank.

    Attributes:
        samples: `[rows, *sample_shape]`, of uint8 or of float32.
        outside: `[rows]`: `Answer.outside`; NaN for a sample that the generator failed to make.
    """

    samples: Tensor
    outside: Tensor

    def __len__(self) -> int:
        return len(self.outside)

    def joined(self, other: Segment) -> Segment:
        """This segment with the rows of another behind its own."""
        return Segment(torch.cat([self.samples, other.samples]), torch.cat([self.outside, other.outside]))

    @classmethod
    def read(cls, path: Path) -> Segment | None:
        """A segment on the disk, mapped into memory; None where there is none.

        Raises:
            Damaged: it is not as it was written.
        """
        found = read_file(path)
        if found is None:
            return None
        try:
            segment = cls(found["samples"], found["outside"])
        except KeyError as error:
            raise Damaged(path) from error
        if len(segment.samples) != len(segment.outside):
            raise Damaged(path)
        return segment

    def write(self, path: Path) -> None:
        """Write it to the disk.

        Raises:
            OSError: it cannot be written.
        """
        write_file(path, vars(self), {"rows": len(self)})


def bytes_of_sample(generator: Generator, stored: str) -> int:
    """Bytes that a stored sample takes."""
    return math.prod(generator.sample_shape) * (1 if stored == UINT8 else 4)


def rows_of_segment(generator: Generator, stored: str) -> int:
    """Samples in a segment that is full; whole passes."""
    fitting = SEGMENT_BYTES // max(bytes_of_sample(generator, stored), 1)
    return max(BATCH, min(MOST_ROWS, fitting) // BATCH * BATCH)


def latents_of(generator: Generator, numbers: Sequence[int]) -> Tensor:
    """Latents of the samples of a bank, by number, `[len(numbers), *latent_shape]`, on the CPU."""
    shape = generator.latent_shape
    rows = [torch.randn(1, *shape, generator=Stream.BANK.open(0, number)) for number in numbers]
    return torch.cat(rows) if rows else torch.empty(0, *shape)


def make(
    generator: Generator, stored: str, numbers: range, device: str, time_limit: float | None = None
) -> Iterator[Segment]:
    """Make samples, a pass at a time.

    Args:
        generator: makes them.
        stored: see `BankKey`.
        numbers: of the samples.
        device: of the generator.
        time_limit: seconds that a pass of one sample may take; no limit when None.

    Raises:
        Exception: not even one fits into memory, or the generator raises it for every sample of a pass, and for others.
    """
    problem = Problem(generator, _NoObjective(), NoViews(), torch.zeros(0, device=device))
    passes = Passes(BATCH, width_of(problem), time_limit).wide
    while numbers:
        now, numbers = numbers[: passes.rows], numbers[passes.rows :]
        answer, failures = passes.compute(Value(latents_of(generator, now).to(device)), problem)
        if answer is None:
            raise failures[0]
        samples, outside = answer.samples.float().cpu(), answer.outside.float().cpu()
        outside[~samples.flatten(1).isfinite().all(dim=1)] = torch.nan
        if stored != FLOAT32:
            samples = problem.kind.rounded(samples.nan_to_num())
        if stored == UINT8:
            samples = (samples * 255).round().to(torch.uint8)
        yield Segment(samples, outside)


class _NoObjective(Objective):
    """An objective without outputs, where samples alone are wanted."""

    names, unit = (), ""

    def measure(self, samples: Samples) -> Measurements:
        return samples.new_zeros(len(samples), 0)


class NoViews(Regularizer):
    """A regularizer without views."""
