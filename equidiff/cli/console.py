"""Output to the terminal, for which no other module uses rich. Results go to stdout, all else to stderr."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from equidiff.errors import EquiDiffError

Show = Callable[[int, str], None]
Rows = Sequence[tuple[str, object]]
PLAIN_INTERVAL_S = 5.0
COLUMN_GAP = 3
LONGEST_WORD = 28  # letters that are never broken
FEWEST_BESIDE = 2  # columns beside the first one, in a table that is split
MOST_SPLIT = 24  # rows of such a table
PROGRESS_DELAY_S = 2.0  # of commands that mostly finish sooner


class Terminal:
    """Output with colour and motion on a terminal, in plain lines elsewhere.

    Args:
        plain: print plain lines on a terminal, too.

    Attributes:
        quiet: show nothing but errors.
    """

    def __init__(self, plain: bool = False) -> None:
        self._err = Console(stderr=True, markup=False, highlight=False, emoji=False)
        self._out = Console(markup=False, highlight=False, emoji=False)
        self.plain = plain or not self._err.is_terminal
        self._plain_out = plain or not self._out.is_terminal
        self.quiet = False

    def result(self, text: str) -> None:
        """Write a text to stdout, unchanged."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def prose(self, text: str) -> None:
        """Print sentences on stdout, wrapped between words on a terminal."""
        if self._plain_out:
            self.result(text)
        else:
            self._out.print(Text(text))

    def note(self, text: str, style: str = "") -> None:
        """Print one line on stderr."""
        if self.quiet:
            return
        if self.plain:
            sys.stderr.write(text + "\n")
        else:
            # a command stays in one piece, to be copied
            self._err.print(Text(text, style), soft_wrap="equidiff " in text)

    def facts(self, rows: Rows, result: bool = False) -> None:
        """Print lines of a name and a value, on stderr; on stdout where they are the result."""
        if result:
            self._facts(rows, self._out, self._plain_out)
        elif not self.quiet:
            self._facts(rows, self._err, self.plain)

    def _facts(self, rows: Rows, console: Console, plain: bool) -> None:
        if plain:
            console.file.writelines(_aligned(rows, ""))
        else:
            console.print(_grid(rows, "bold"), soft_wrap=True)

    def error(self, error: EquiDiffError) -> None:
        """Print one panel with the problem, the value given, the values expected and similar, and a hint."""
        self.panel("error", error.problem, error.rows, "red")

    def panel(self, title: str, text: str, rows: Rows, style: str) -> None:
        """Print a framed text with a few facts below it on stderr, even if `quiet`."""
        if self.plain:
            sys.stderr.writelines([f"{title}: {text}\n", *_aligned(rows, "  ")])
            return
        body = Group(Text(text), *([Text(), _grid(rows, "dim")] if rows else []))
        self._err.print(Panel(body, title=Text(title), title_align="left", border_style=style, padding=(0, 1)))

    def status(self, text: str) -> AbstractContextManager[object]:
        """Show that something is under way which cannot say how long it takes."""
        if self.quiet or self.plain:
            self.note(f"{text} ...")
            return nullcontext()
        return self._err.status(text)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], bad: Sequence[bool] = (), result: bool = True
    ) -> None:
        """Print a table, on stdout where it is the result, else on stderr; `bad` rows are red."""
        if self.quiet and not result:
            return
        console, plain = (self._out, self._plain_out) if result else (self._err, self.plain)
        if plain:
            widths = [max(len(str(row[i])) for row in (columns, *rows)) for i in range(len(columns))]
            for row in (columns, *rows):
                cells = [str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
                console.file.write("  ".join(cells).rstrip() + "\n")
            return
        styles = ["red" if position < len(bad) and bad[position] else "" for position in range(len(rows))]
        parts = _split(columns, rows, console.width)
        if not parts:
            console.print(_stacked(columns, rows, styles, console.width))
        for part in parts:
            named, cells = [columns[i] for i in part], [[row[i] for i in part] for row in rows]
            console.print(_table(named, cells, styles, _widths(named, cells, console.width) or ()))

    @contextmanager
    def progress(self, total: int, done: int, doing: str = "sampling", delay: float = 0.0) -> Iterator[Show]:
        """Yield a function to call with the number of finished samples or images and a line about them.

        Args:
            total: number of samples or images.
            done: number that are finished already.
            doing: verb before the bar.
            delay: seconds before the bar appears.
        """
        if self.quiet:
            yield lambda _done, _state: None
        elif self.plain:
            yield _PlainProgress(self, total, done)
        else:
            with self._bar(total, done, doing, delay) as show:
                yield show

    @contextmanager
    def _bar(self, total: int, done: int, doing: str, delay: float) -> Iterator[Show]:
        bar = Progress(
            TextColumn(doing),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(),
            console=self._err,
        )
        task = bar.add_task("", total=total, completed=done)
        state = Text()

        def show(done: int, text: str) -> None:
            bar.update(task, completed=done)
            state.plain = text

        # transient: the table that follows says more than a full bar
        live = Live(Group(bar, state), console=self._err, transient=True)
        timer = threading.Timer(delay, live.start)  # even if the first batch is not finished by then
        timer.daemon = True
        timer.start()
        try:
            yield show
        finally:
            timer.cancel()
            timer.join()
            live.stop()


class _PlainProgress:
    """Progress as a line every few seconds."""

    def __init__(self, terminal: Terminal, total: int, done: int) -> None:
        self._terminal, self._total, self._first = terminal, total, done
        self._started = self._shown = time.monotonic()

    def __call__(self, done: int, state: str) -> None:
        now = time.monotonic()
        if now - self._shown < PLAIN_INTERVAL_S:
            return
        self._shown = now
        elapsed = now - self._started
        line = f"{done}/{self._total} finished: {state}; {elapsed:.0f} s"
        if done > self._first:
            line += f", about {elapsed / (done - self._first) * (self._total - done):.0f} s left"
        self._terminal.note(line)


def _aligned(rows: Rows, indent: str) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    gap = "\n" + indent + " " * (width + 2)
    return [f"{indent}{name:<{width}}  {gap.join(str(value).splitlines())}\n" for name, value in rows]


def _grid(rows: Rows, style: str) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(Text(name, style), Text(str(value), overflow="fold"))
    return grid


def _widths(columns: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> list[int] | None:
    """Widths of columns that break no line of the first and no word of the others; None where they do not fit.

    Only very long words, such as paths, may be broken. Rich would narrow the widest column first, through its words.
    """
    texts = [[str(row[i]) for row in (columns, *rows)] for i in range(len(columns))]
    wanted = [max(cell_len(line) for text in column for line in text.splitlines() or [""]) for column in texts]
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


def _split(columns: Sequence[str], rows: Sequence[Sequence[object]], width: int) -> list[list[int]]:
    """Columns of the fewest tables that fit, each with the first column; none if that makes them hard to read."""
    count = len(columns) - 1
    most = max(count // FEWEST_BESIDE, 1) if len(rows) <= MOST_SPLIT else 1
    for parts in range(1, most + 1):
        edges = [1 + part * count // parts for part in range(parts + 1)]
        split = [[0, *range(*pair)] for pair in itertools.pairwise(edges)]
        if all(_widths([columns[i] for i in part], [[row[i] for i in part] for row in rows], width) for part in split):
            return split
    return []


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], styles: Sequence[str], widths: Sequence[int]
) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, width=width)
    for row, style in zip(rows, styles, strict=True):
        table.add_row(*(Text(str(cell), overflow="fold") for cell in row), style=style)
    return table


def _stacked(columns: Sequence[str], rows: Sequence[Sequence[object]], styles: Sequence[str], width: int) -> Group:
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
    parts: list[Text | Table] = [Text(columns[0], "underline")]
    for row, style in zip(rows, styles, strict=True):
        cells = [(column, cell) for column, cell in zip(columns, row, strict=True) if str(cell)]
        parts.append(Text(str(row[0]), style or "bold", overflow="fold"))
        grid = _grid([(f"  {column}", cell) for column, cell in cells[1:]], "dim")
        grid.style = style
        parts.append(grid)
    return Group(*parts)
