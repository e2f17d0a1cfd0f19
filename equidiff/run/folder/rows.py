"""The tensors of a run's samples: in memory, or read from its folder as they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equidiff.run.folder.stored import Stored
from equidiff.run.packed import ROWS

CACHED = 64 * 2**20  # bytes of a tensor that is read as a whole, the first time that any of it is asked for


class Rows(Mapping[str, Tensor]):
    """Latents, samples and measurements, a row for each record of a set; not-a-number where the sample failed."""

    @abstractmethod
    def take(self, name: str, positions: Sequence[int] | slice) -> Tensor:
        """Rows of one tensor.

        Args:
            name: of the tensor.
            positions: of the records.
        """

    @abstractmethod
    def count(self, name: str) -> int:
        """Number of rows of one tensor."""


class MemoryRows(dict[str, Tensor], Rows):
    """Rows that are in memory."""

    def take(self, name: str, positions: Sequence[int] | slice) -> Tensor:
        """Rows of one tensor."""
        return self[name][positions if isinstance(positions, slice) else list(positions)]

    def count(self, name: str) -> int:
        """Number of rows of one tensor."""
        return len(self[name])


class StoredRows(Rows):
    """Rows in a run folder. Tensors of up to 64 MB are kept in memory; of others, what is asked for is read each time.

    Args:
        stored: places of the rows in the folder.
        indices: of the records.
    """

    def __init__(self, stored: Stored, indices: Sequence[int]) -> None:
        self._stored, self._indices = stored, indices
        self._shapes = stored.shapes()
        self._kept: dict[str, Tensor] = {}

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._stored.path

    def take(self, name: str, positions: Sequence[int] | slice) -> Tensor:
        """Rows of one tensor.

        Raises:
            RunFolderError: a file that holds some of them is damaged.
        """
        chosen = self._indices[positions] if isinstance(positions, slice) else [self._indices[at] for at in positions]
        size = 4 * torch.Size(self._shapes[name]).numel() * len(self._indices)
        if name in self._kept or (chosen and size <= CACHED):
            return self[name][positions if isinstance(positions, slice) else list(positions)]
        return self._read(name, chosen)

    def count(self, name: str) -> int:
        """Number of rows of one tensor."""
        return len(self._indices)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._kept:
            self._kept[name] = self._read(name, self._indices)
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def __reduce__(self) -> tuple[Any, ...]:
        return MemoryRows, (dict(self),)  # what is pickled or copied does not need the folder

    def _read(self, name: str, indices: Sequence[int]) -> Tensor:
        found = torch.full((len(indices), *self._shapes[name]), torch.nan)
        for at, rows in self._stored.read(name, indices):
            found[at] = rows
        return found


class ChosenRows(Rows):
    """Some of the rows of a set, read when they are asked for.

    Args:
        rows: of the set.
        positions: of those that are chosen.
    """

    def __init__(self, rows: Rows, positions: Sequence[int]) -> None:
        self._rows, self._positions = rows, positions

    def take(self, name: str, positions: Sequence[int] | slice) -> Tensor:
        """Rows of one tensor."""
        chosen = range(len(self._positions))[positions] if isinstance(positions, slice) else positions
        return self._rows.take(name, [self._positions[position] for position in chosen])

    def count(self, name: str) -> int:
        """Number of rows of one tensor."""
        return len(self._positions)

    def __getitem__(self, name: str) -> Tensor:
        return self._rows.take(name, self._positions)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def stack_rows(parts: Sequence[Mapping[str, Tensor] | None]) -> MemoryRows:
    """Stack the tensors of samples, one row each; not-a-number where a sample has none. Empty where none has any."""
    done = [part for part in parts if part is not None]
    if not done:
        return MemoryRows()
    blank = {name: torch.full_like(done[0][name], torch.nan) for name in ROWS}
    return MemoryRows({name: torch.cat([(part or blank)[name] for part in parts]) for name in ROWS})
