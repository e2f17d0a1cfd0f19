"""Tables, and lines of a name and a value, laid out for the width of a terminal."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.table import Table
from rich.text import Text

from equidiff.folders.text import printable

Rows = Sequence[tuple[str, object]]
COLUMN_GAP = 3
MOST_SHOWN = 10_000  # letters of a text that a file of strangers may have made long
LONGEST_WORD = 28  # letters that are never broken
FEWEST_BESIDE = 2  # columns beside the first one, in a table that is split
MOST_SPLIT = 24  # rows of such a table
PROGRAMS = ("equidiff ", "pip ", "mv ", "convert ", "hf ", "HF_HOME=")  # that a hint may tell the user to run


def is_command(text: str) -> bool:
    """True for a text to type or copy as a whole, which no line may break."""
    return text.startswith(PROGRAMS)


def aligned(rows: Rows, indent: str) -> list[str]:
    """Lines of a name and a value below each other, as wide as they are."""
    width = max((len(name) for name, _ in rows), default=0)
    gap = "\n" + indent + " " * (width + 2)
    return [f"{indent}{name:<{width}}  {gap.join(lines_of(shown(value)))}\n" for name, value in rows]


def shown(value: object) -> str:
    """The text of a value as a terminal may get it: without escapes, and not endless."""
    text = str(value)
    return printable(text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…")


def lines_of(text: str) -> list[str]:
    """The lines of a text; a line feed at its end begins no other."""
    return text.removesuffix("\n").split("\n")


def wrap(text: str, width: int) -> list[str]:
    """Lines of a text, broken between words only; a command, and a word that is longer than a line, stay whole.

    A command at the end of a line that is too long follows on a line of its own.
    """
    lines = []
    if cell_len(text) > width:
        text = re.sub(r": (?=equidiff )", ":\n", text)
    for line in lines_of(text):
        whole = is_command(line) or cell_len(line) <= width
        lines += [line] if whole else textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    return lines


def facts(rows: Rows, width: int, name_style: str, value_style: str = "") -> list[Text]:
    """Lines of a name and a value, wrapped; what cannot be broken and does not fit beside its name goes below it."""
    names = max((cell_len(name) for name, _ in rows), default=0)
    room = max(width - names - 2, 1)
    parts: list[Text] = []
    for name, value in rows:
        text = shown(value)
        lines = wrap(text, room)
        if max(map(cell_len, lines)) > room:
            lines = wrap(text, width)
            parts += [Text(name, name_style), *(Text(line, value_style) for line in lines)]
            continue
        first = Text.assemble((name + " " * (names + 2 - cell_len(name)), name_style), (lines[0], value_style))
        parts += [first, *(Text(" " * (names + 2) + line, value_style) for line in lines[1:])]
    return parts


def layout(columns: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> list[int] | None:
    """Widths of columns that break no line of the first and no word of the others; None where they do not fit.

    Only very long words, such as paths, may be broken. Rich would narrow the widest column first, through its words.
    """
    texts = [[str(row[i]) for row in (columns, *rows)] for i in range(len(columns))]
    wanted = [max(cell_len(line) for text in column for line in lines_of(text)) for column in texts]
    words = [max((cell_len(word) for text in column for word in text.split()), default=0) for column in texts]
    words = [min(word, LONGEST_WORD) for word in words]
    widths = [wanted[0], *words[1:]]
    room = width - sum(widths) - COLUMN_GAP * (len(columns) - 1) - 2  # for the edges
    if room < 0:
        return None
    # those that need least first, so that the others share what is left
    order = sorted(range(len(columns)), key=lambda i: wanted[i] - widths[i])
    for left, i in zip(range(len(columns), 0, -1), order, strict=True):
        more = min(wanted[i] - widths[i], room // left)
        widths[i] += more
        room -= more
    return widths


def split(columns: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> list[list[int]]:
    """Columns of the fewest tables that fit, each with the first column; none if that makes them hard to read."""
    count = len(columns) - 1
    most = max(count // FEWEST_BESIDE, 1) if len(rows) <= MOST_SPLIT else 1
    for parts in range(1, most + 1):
        edges = [1 + part * count // parts for part in range(parts + 1)]
        tables = [[0, *range(*pair)] for pair in itertools.pairwise(edges)]
        if all(layout([columns[i] for i in part], [[row[i] for i in part] for row in rows], width) for part in tables):
            return tables
    return []


def fits(columns: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> bool:
    """True where every cell has room on one line."""
    texts = [[str(row[i]) for row in (columns, *rows)] for i in range(len(columns))]
    wanted = [max(cell_len(line) for text in column for line in lines_of(text)) for column in texts]
    return sum(wanted) + COLUMN_GAP * (len(columns) - 1) + 2 <= width


def leave_out(
    columns: Sequence[str], rows: Sequence[Sequence[object]], spare: Sequence[str], width: int
) -> tuple[list[str], list[list[object]], list[str]]:
    """Columns and rows of a table that fits, and the names of the columns left out for that.

    Args:
        columns: their names.
        rows: their cells.
        spare: columns that may be left out, the most dispensable first.
        width: of the terminal.
    """
    left = list(range(len(columns)))
    out: list[str] = []
    for name in spare:
        if fits([columns[i] for i in left], [[row[i] for i in left] for row in rows], width):
            break
        left = [i for i in left if columns[i] != name]
        out.append(name)
    return [columns[i] for i in left], [[row[i] for i in left] for row in rows], out


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], styles: Sequence[str], width: int) -> Group:
    """A table whose cells wrap between words, or several; where even these are too wide, rows of a few lines."""
    parts = split(columns, rows, width)
    if not parts:
        return stacked(columns, rows, styles, width)
    drawn = []
    for part in parts:
        named, cells = [columns[i] for i in part], [[row[i] for i in part] for row in rows]
        drawn.append(_draw(named, cells, styles, layout(named, cells, width) or ()))
    return Group(*drawn)


def _draw(
    columns: Sequence[str], rows: Sequence[Sequence[object]], styles: Sequence[str], widths: Sequence[int]
) -> Table:
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        drawn.add_column(column, width=width)
    for row, style in zip(rows, styles, strict=True):
        drawn.add_row(*(Text(str(cell), overflow="fold") for cell in row), style=style)
    return drawn


def stacked(columns: Sequence[str], rows: Sequence[Sequence[object]], styles: Sequence[str], width: int) -> Group:
    """Rows of a table that is too wide: the first cell on a line of its own, the others below it with their names.

    If all others fit on one line, their names stand above the first row only.
    """
    texts = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(cell_len(row[i]) for row in texts) for i in range(1, len(columns))]
    if sum(widths) + COLUMN_GAP * len(widths) <= width and not any("\n" in cell for row in texts for cell in row[1:]):
        lines = [(" " * COLUMN_GAP).join(["", *map(set_cell_size, row[1:], widths)]).rstrip() for row in texts]
        header, *below = (Text(line, "dim") for line in lines)
        named = (Text(row[0], style or "bold", overflow="fold") for row, style in zip(texts[1:], styles, strict=True))
        pairs = itertools.chain.from_iterable(zip(named, below, strict=True))
        return Group(Text(columns[0], "underline"), header, *pairs)
    parts: list[Text] = [Text(columns[0], "underline")]
    for row, style in zip(rows, styles, strict=True):
        cells = [(f"  {column}", cell) for column, cell in zip(columns, row, strict=True) if str(cell)]
        parts.append(Text(str(row[0]), style or "bold", overflow="fold"))
        parts += facts(cells[1:], width, style or "dim", style)
    return Group(*parts)
