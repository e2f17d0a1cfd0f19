"""CSV files of rows: what spreadsheets and pandas read, without cells that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from equidiff.errors import QueryError
from equidiff.folders.text import printable

# the first letters of cells that spreadsheets take for formulas
FORMULA = ("=", "+", "-", "@", "\t", "\r")
EXPECTED = "FILE.csv, or FILE.csv:ROW; its first line has the names of the columns"
MOST_LINES = 1_000_000


def to_csv(names: Sequence[str], rows: Iterable[tuple[str | int, Sequence[float]]], first: str = "index") -> str:
    """Text of a CSV file: a line of names, and a line for each row.

    Numbers have the fewest digits that read back as the same float32.

    Args:
        names: of the columns.
        rows: a label and the numbers of each.
        first: name of the column of labels.
    """
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow([first, *map(cell, names)])
    writer.writerows([label, *map(_shortest, row)] for label, row in rows)
    return content.getvalue()


def cell(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula."""
    shown = printable(" ".join(text.split())) or "'"
    return f"'{shown}" if shown.startswith(FORMULA) or text.startswith(FORMULA) else shown


def read_row(source: str, names: Sequence[str]) -> tuple[str, list[float]]:
    """Read the row that `--query` names, and say its name.

    Args:
        source: `FILE.csv` for the first row, or `FILE.csv:ROW`, from 0.
        names: of the columns that are needed, in their order; a file may have others, and in another order.

    Raises:
        QueryError: the file cannot be read, lacks a column or the row, or has a cell that is no finite number.
    """
    file, row = _split(source)
    lines = _read_lines(file)
    if not lines:
        raise QueryError("The table is empty.", given=file, expected=EXPECTED)
    header = [text.strip() for text in lines[0]]
    places = [_place(name, header) for name in names]
    missing = [name for name, place in zip(names, places, strict=True) if place is None]
    if missing:
        raise QueryError(
            "The table lacks columns of this generator.",
            given=f"{file}, without {', '.join(missing)}"[:400],
            expected=f"a first line with the names {', '.join(names)}"[:400],
        )
    if not 0 <= row < len(lines) - 1:
        raise QueryError(
            "The table has no such row.",
            given=source,
            expected=f"a row from 0 to {len(lines) - 2}" if len(lines) > 1 else "a row",
        )
    values = [_number(lines[row + 1], place) for place in places if place is not None]
    for name, value in zip(names, values, strict=True):
        if not math.isfinite(value):
            raise QueryError(
                "A cell of the table is no finite number.",
                given=f"{file}, row {row}, column {name}",
                expected="a number in every column of the generator",
            )
    return f"{file}, row {row}", values


def _split(source: str) -> tuple[Path, int]:
    file, colon, row = source.rpartition(":")
    if colon and re.fullmatch(r"\d{1,9}", row) and not Path(source).exists():
        return Path(file).expanduser(), int(row)
    return Path(source).expanduser(), 0


def _read_lines(file: Path) -> list[list[str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as content:
            return [line for line in islice(csv.reader(content), MOST_LINES) if line]
    except FileNotFoundError as error:
        raise QueryError("The query does not exist.", given=file, expected=EXPECTED) from error
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise QueryError(f"The table cannot be read: {error}", given=file, expected=EXPECTED) from error


def _place(name: str, header: Sequence[str]) -> int | None:
    """Place of a column in the header, as its author wrote it or as `cell` does."""
    return next((header.index(text) for text in (name.strip(), cell(name)) if text in header), None)


def _number(line: Sequence[str], place: int) -> float:
    try:
        return float(line[place])
    except (ValueError, IndexError):
        return math.nan


def _shortest(value: float) -> str:
    return (
        np.format_float_positional(np.float32(value), trim="-") if 1e-4 <= abs(value) < 1e7 else str(np.float32(value))
    )
