"""The bank of a generator: its samples are made when they are first asked for, and kept.

Sample i is drawn from a stream of its own, so that the content of a bank follows from the generator alone. The folder
on the disk is a cache of it: what is missing or damaged there is made again, and is the same.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from equidiff.bank.catalog import bank_folder, evict
from equidiff.bank.columns import ROWS, Measurer, read_column, write_column
from equidiff.bank.key import UINT8, BankKey
from equidiff.bank.segment import Segment, bytes_of_sample, latents_of, make, rows_of_segment
from equidiff.bank.store import BankFolder, Damaged, leave
from equidiff.contracts import Generator, Regularizer
from equidiff.errors import first_line
from equidiff.search.problem import Problem

Tell = Callable[[int, int], None]  # rows that are done, of how many


def _silent(_done: int, _total: int) -> None:
    return None


class Bank:
    """Prior samples of a generator by number, and their measurements.

    Args:
        generator: makes the samples.
        stored: "uint8" or "float32".
        key: all that the samples depend on; None to keep them in memory alone.
        device: of the generator.
        time_limit: seconds that a pass of one sample may take; no limit when None.

    Attributes:
        generator: as given.
        path: the folder on the disk; None where there is none.
        made: samples that were made since it was opened.
        measured: samples that an objective measured since then.
        warnings: sentences for the user.
    """

    def __init__(
        self, generator: Generator, stored: str, key: BankKey | None, device: str, time_limit: float | None = None
    ) -> None:
        self.generator = generator
        self.made = self.measured = 0
        self.warnings: list[str] = []
        self._stored, self._device, self._time_limit = stored, device, time_limit
        self._rows = rows_of_segment(generator, stored)
        self._segments: list[Segment] = []
        self._columns: dict[str, Tensor] = {}
        self._folder = None if key is None else BankFolder(bank_folder(key.name))
        if self._folder is not None and key is not None:
            self._enter(self._folder, key)

    @property
    def count(self) -> int:
        """Samples that it has."""
        return sum(map(len, self._segments))

    @property
    def path(self) -> Path | None:
        """The folder on the disk; None where there is none."""
        return None if self._folder is None else self._folder.path

    def ensure(self, count: int, tell: Tell = _silent) -> None:
        """Make the samples 0 to `count - 1` that are not there yet.

        Raises:
            Exception: not even one sample fits into memory, or the generator raises it for all samples.
        """
        self._read(count)
        if self.count >= count:
            return
        with ExitStack() as stack:
            self._lock(stack)
            self._read(count)  # another process may have made them
            first = self.count
            self._make_room((count - first) * bytes_of_sample(self.generator, self._stored))
            while self.count < count:
                self._extend(count, lambda: tell(self.count - first, count - first))
                self._read(count)  # the segments behind one that was damaged

    def latents(self, numbers: Sequence[int]) -> Tensor:
        """Latents of samples, `[len(numbers), *latent_shape]`, on the CPU."""
        return latents_of(self.generator, numbers)

    def samples(self, numbers: Sequence[int]) -> Tensor:
        """Samples by number, `[len(numbers), *sample_shape]`, float32, on the CPU."""
        rows = [self._segments[number // self._rows].samples[number % self._rows] for number in numbers]
        found = torch.stack(rows) if rows else torch.empty(0, *self.generator.sample_shape)
        return found.float() / 255 if self._stored == UINT8 else found

    def outside(self, numbers: Sequence[int]) -> Tensor:
        """Root mean square distance of their pixels from [0, 1] before they were clamped; NaN for one that failed."""
        return torch.cat([each.outside for each in self._segments])[list(numbers)]

    def measure(
        self,
        problem: Problem,
        count: int,
        key: str | None,
        name: str,
        views_of: Regularizer | None = None,
        tell: Tell = _silent,
    ) -> Tensor:
        """Measurements `[count, parts, m]` of the first samples, NaN where that raised an error; kept for each key.

        Args:
            problem: has the objective; its target does not matter.
            count: how many of its samples.
            key: all that the measurements depend on, besides the samples; None to compute them anew.
            name: of the objective, as people write it.
            views_of: the regularizer whose views are measured; the samples themselves when None.
            tell: called with the rows that are done, and the rows there are.
        """
        there = None if key is None else self._column(key)
        done = 0 if there is None else min(len(there), count)
        parts = [] if there is None else [there[:done]]
        if done < count:
            measurer = Measurer(problem, views_of, self._time_limit)
            for start in range(done, count, ROWS):
                numbers = range(start, min(start + ROWS, count))
                parts.append(measurer.measure(self.samples(numbers)))
                self.measured += len(numbers)
                tell(numbers.stop - done, count - done)
            self._keep(key, torch.cat(parts), name)
        return torch.cat(parts)

    def _extend(self, count: int, tell: Callable[[], None]) -> None:
        """Make samples until the segment under way is full, or there are enough; those that are made are kept."""
        number = self.count // self._rows
        numbers = range(self.count, min(count, (number + 1) * self._rows))
        try:
            for made in make(self.generator, self._stored, numbers, self._device, self._time_limit):
                there = self._segments[number:]
                self._segments[number:] = [there[0].joined(made) if there else made]
                self.made += len(made)
                tell()
        finally:
            if self.count > numbers.start:
                self._write(number)

    def close(self) -> None:
        """Let others remove its folder."""
        if self._folder is not None:
            leave(self._folder.path)

    def _enter(self, folder: BankFolder, key: BankKey) -> None:
        try:
            folder.create(key)
        except OSError as error:
            self._give_up(error)
            return
        atexit.register(leave, folder.path)

    def _lock(self, stack: ExitStack) -> None:
        """Keep other processes from writing into the folder, until the stack is closed."""
        if self._folder is not None:
            try:
                stack.enter_context(self._folder.locked())
            except OSError as error:
                self._give_up(error)

    def _read(self, count: int) -> None:
        """Take in segments of the disk, up to the first that is missing, damaged, or no longer than the one here."""
        while self._folder is not None and self.count < count:
            number = self.count // self._rows
            segment = self._read_segment(self._folder.segment(number))
            if segment is None or len(segment) <= self.count - number * self._rows:
                return
            self._segments[number:] = [segment]

    def _read_segment(self, path: Path) -> Segment | None:
        try:
            return Segment.read(path)
        except Damaged:
            self._warn(f"{path} was damaged: its samples are made again.")
            return None

    def _write(self, number: int) -> None:
        if self._folder is not None:
            try:
                self._segments[number].write(self._folder.segment(number))
            except OSError as error:
                self._give_up(error)

    def _make_room(self, needed: int) -> None:
        if self._folder is not None:
            evict(self._folder.path, needed)

    def _column(self, key: str) -> Tensor | None:
        if key not in self._columns and self._folder is not None:
            path = self._folder.column(key)
            try:
                found = read_column(path)
            except Damaged:
                self._warn(f"{path} was damaged: its measurements are made again.")
                return None
            if found is not None:
                self._columns[key] = found
        return self._columns.get(key)

    def _keep(self, key: str | None, values: Tensor, name: str) -> None:
        if key is None:
            return
        self._columns[key] = values
        if self._folder is not None:
            try:
                with self._folder.locked():
                    write_column(self._folder.column(key), values, name)
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._folder = None
        self._warn(f"The bank is not kept on the disk: {error.strerror or first_line(error)}.")

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)
