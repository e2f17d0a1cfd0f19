"""Rows of a table: a number for each column, which has a name, a unit and a range; a CSV file has them all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from PIL.Image import Image
from torch import Tensor

from equidiff.contracts.sample_kind import LINES, Change, SampleKind
from equidiff.errors import PluginError
from equidiff.kinds.csv_files import read_row, to_csv
from equidiff.kinds.line_drawing import draw_lines

MOST_COLUMNS, LONGEST_NAME = 1000, 200


@final
@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: of the column.
        unit: of its numbers; empty where they have none.
        low: end of the range in which numbers usually lie; they may lie outside.
        high: the other end.

    Raises:
        PluginError: the name is empty, or the range is.
    """

    name: str
    unit: str = ""
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        texts = all(isinstance(text, str) and len(text) <= LONGEST_NAME for text in (self.name, self.unit))
        numbers = all(isinstance(end, int | float) and math.isfinite(end) for end in (self.low, self.high))
        if not (texts and numbers and self.name.strip() and self.low < self.high):
            raise PluginError(
                "This is not a column of a table.",
                given=f"Column({self.name!r}, unit={self.unit!r}, low={self.low!r}, high={self.high!r})"[:300],
                expected=f"a name of up to {LONGEST_NAME} letters, a unit, and low < high",
                hint='Column("mass", unit="kg", low=0, high=120)',
            )

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


@final
@dataclass(frozen=True, eq=False, repr=False)
class Table(SampleKind):
    """Rows `[columns]` of a table. Its CSV file holds float32 to the last digit, so that nothing is rounded.

    Args:
        columns: in the order of a sample's numbers.

    Raises:
        PluginError: there are none, or two have the same name.
    """

    columns: tuple[Column, ...]

    name: ClassVar[str] = "table"
    noun: ClassVar[str] = "row"
    plural: ClassVar[str] = "rows of a table"
    heading: ClassVar[str] = "Row"
    values: ClassVar[str] = "columns"
    compared_by: ClassVar[str] = "columns, each over its range"
    bounded: ClassVar[bool] = True
    one_file: ClassVar[str | None] = "table.csv"
    query_in_words: ClassVar[str] = "a row of a CSV file"
    query_hint: ClassVar[str] = "--query FILE.csv:0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        names = [column.name if isinstance(column, Column) else None for column in self.columns]
        if None in names or len(set(names)) < len(names) or not 1 <= len(names) <= MOST_COLUMNS:
            raise PluginError(
                "These are not the columns of a table.",
                given=", ".join(map(str, names))[:300] or "none",
                expected=f"1 to {MOST_COLUMNS} of Column, each of another name",
                hint='kind = Table((Column("mass", unit="kg", low=0, high=120), ...))',
            )

    @property
    def shapes(self) -> str:
        return f"({len(self.columns)},), a number for each column"

    def fits(self, shape: Sequence[int]) -> bool:
        return tuple(shape) == (len(self.columns),)

    def describe(self, shape: Sequence[int]) -> str:
        return f"rows of {len(self.columns)} columns"

    def overview(self, shape: Sequence[int]) -> str:
        return LINES

    def names(self, shape: Sequence[int]) -> list[str]:
        return [column.title for column in self.columns]

    def scaled(self, samples: Tensor) -> Tensor:
        """Samples as parts of the range of each column."""
        low, high = self.ranges(samples)
        return (samples - low) / (high - low)

    def excess(self, samples: Tensor) -> Tensor:
        scaled = self.scaled(samples)
        return scaled - scaled.clamp(0, 1)

    def to_grid(self, samples: Tensor) -> Tensor:
        return super().to_grid(self.scaled(samples))

    def from_grid(self, samples: Tensor, shape: Sequence[int]) -> Tensor:
        flat = super().from_grid(samples, shape)
        low, high = self.ranges(flat)
        return low + (high - low) * flat

    def beyond(self, distance: str) -> str:
        scale = f"up to {distance} of a range, root mean square"
        return f"the ranges of their columns by much ({scale}): look at them with care."

    def compared(self, samples: Tensor) -> Tensor:
        return self.scaled(samples)

    def write_all(self, file: Path, samples: Iterable[tuple[int, Tensor]]) -> None:
        rows = ((index, sample.tolist()) for index, sample in samples)
        file.write_text(to_csv([column.name for column in self.columns], rows), encoding="utf-8")

    def read_query(self, source: str, shape: tuple[int, ...]) -> tuple[str, Tensor]:
        name, row = read_row(source, [column.name for column in self.columns])
        return name, torch.tensor([row], dtype=torch.float32)

    def tile(self, sample: Tensor, side: int) -> Image:
        return draw_lines(self.scaled(sample.detach().float().cpu())[None], side)

    @property
    def changes(self) -> Mapping[str, tuple[str, Change]]:
        return {
            "digits_4": ("rounding to 4 digits", lambda rows: significant(rows, 4)),
            "digits_3": ("rounding to 3 digits", lambda rows: significant(rows, 3)),
            "digits_2": ("rounding to 2 digits", lambda rows: significant(rows, 2)),
            "noise_0.01": ("noise of 1 % of the range", lambda rows: self._noisy(rows, 0.01)),
        }

    @property
    def parameters(self) -> dict[str, Any]:
        return {"columns": [asdict(column) for column in self.columns]}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Table:
        known = ("name", "unit", "low", "high")
        return cls(tuple(Column(**{key: each[key] for key in known if key in each}) for each in values["columns"]))

    def ranges(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        low = samples.new_tensor([column.low for column in self.columns])
        return low, samples.new_tensor([column.high for column in self.columns])

    def _noisy(self, rows: Tensor, share: float, seed: int = 0) -> Tensor:
        """Rows with the same normal noise in each, whose deviation is a share of the range of each column."""
        noise = torch.randn(rows.shape[1:], generator=torch.Generator().manual_seed(seed)).to(rows)
        low, high = self.ranges(rows)
        return rows + share * (high - low) * noise


def significant(rows: Tensor, digits: int) -> Tensor:
    """Numbers rounded to so many significant digits."""
    exact = rows.double()
    power = 10.0 ** (digits - 1 - exact.abs().clamp(min=1e-30).log10().floor())
    return ((exact * power).round() / power).to(rows)
