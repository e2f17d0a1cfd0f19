"""The terminal: results, notes, panels, tables and progress, in colour or as plain lines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from equidiff.cli.console import tables
from equidiff.cli.console.progress import PlainProgress, Show, bar
from equidiff.cli.console.search import LiveSearch, PlainSearch, SearchDisplay
from equidiff.cli.console.streams import Stream, is_narrow
from equidiff.cli.console.tables import Rows, is_command, shown, wrap
from equidiff.cli.console.thumbnails import sheet_for
from equidiff.errors import EquiDiffError
from equidiff.folders.json_files import parse_json
from equidiff.folders.text import printable, printable_json


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
        self.plain = plain or not self._err.is_terminal or is_narrow(self._err.file)
        self._plain_out = plain or not self._out.is_terminal or is_narrow(self._out.file)
        self.quiet = False
        self._left_out: set[str] = set()

    def result(self, text: str) -> None:
        """Write a text to stdout, unchanged."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def path(self, path: Path) -> None:
        """Write a path to stdout: its own bytes, which name the same file again; escaped on a terminal."""
        if isinstance(sys.stdout, Stream) and not sys.stdout.isatty() and not str(path).isascii():
            sys.stdout.write_bytes(os.fsencode(path) + b"\n")
        else:
            self.result(printable(str(path)))

    def answer(self, folder: Path, file: str | None = None) -> None:
        """Write the path of a folder to stdout, or the content of a JSON file in it."""
        if file is None:
            self.path(folder)
        else:
            self.json((folder / file).read_text(encoding="utf-8"))

    def json(self, text: str) -> None:
        """Write JSON to stdout; letters that it cannot take, or should not, are escaped as JSON has it."""
        self.result(json.dumps(parse_json(text), indent=2) if is_narrow(sys.stdout) else printable_json(text))

    def prose(self, text: str, style: str = "") -> None:
        """Print sentences on stdout, wrapped between words on a terminal."""
        if self._plain_out:
            self.result(printable(text))
        else:
            self._print(self._out, text, style)

    def note(self, text: str, style: str = "") -> None:
        """Print a sentence on stderr, wrapped between words on a terminal."""
        if self.quiet:
            return
        if self.plain:
            sys.stderr.write(printable(text) + "\n")
        else:
            self._print(self._err, text, style)

    def command(self, doing: str, command: str) -> None:
        """Print a command to type next on a line of its own, which is never broken."""
        if self.quiet:
            return
        if self.plain:
            sys.stderr.write(f"{doing}: {printable(command)}\n")
        else:
            self._err.print(Text.assemble((f"{doing}: ", "dim"), (printable(command), "bold")), soft_wrap=True)

    def facts(self, rows: Rows, result: bool = False, dim: bool = False) -> None:
        """Print lines of a name and a value, on stderr; on stdout where they are the result."""
        if result:
            self._facts(rows, self._out, self._plain_out, dim)
        elif not self.quiet:
            self._facts(rows, self._err, self.plain, dim)

    def _facts(self, rows: Rows, console: Console, plain: bool, dim: bool) -> None:
        if plain:
            console.file.writelines(tables.aligned(rows, ""))
            return
        for line in tables.facts(rows, console.width, "dim" if dim else "bold", "dim" if dim else ""):
            console.print(line, soft_wrap=True)

    def error(self, error: EquiDiffError) -> None:
        """Print one panel with the problem, the value given, the values expected and similar, and a hint."""
        self.panel("error", error.problem, error.rows, "red")

    def panel(self, title: str, text: str, rows: Rows, style: str) -> None:
        """Print a framed text with a few facts below it on stderr, even if `quiet`.

        A command that is too long for the frame follows below it, where it can be copied as a whole.
        """
        text, rows = shown(text), [(name, shown(value)) for name, value in rows]
        if self.plain:
            sys.stderr.writelines([f"{title}: {text}\n", *tables.aligned(rows, "  ")])
            return
        room = self._err.width - 4
        beside = room - max((len(name) for name, _ in rows), default=0) - 2
        long = [(name, value) for name, value in rows if is_command(value) and len(value) > beside]
        inside = [row for row in rows if row not in long]
        body = [*map(Text, wrap(text, room)), *([Text(), *tables.facts(inside, room, "dim")] if inside else [])]
        frame = Panel(Group(*body), title=Text(title), title_align="left", border_style=style, padding=(0, 1))
        self._err.print(frame)
        for name, command in long:
            self._err.print(Text.assemble((f"{name}: ", "dim"), command), soft_wrap=True)

    @contextmanager
    def status(self, text: str) -> Iterator[Callable[[str], None]]:
        """Show that something is under way which cannot say how long it takes; yields a function for the next text."""
        if self.quiet or self.plain:
            self.note(f"{text} ...")
            yield lambda text: self.note(f"{text} ...")
        else:
            with self._err.status(Text(printable(text))) as status:  # a text alone would be read as markup
                yield lambda text: status.update(Text(printable(text)))

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[object]],
        bad: Sequence[bool] = (),
        result: bool = True,
        spare: Sequence[str] = (),
    ) -> None:
        """Print a table, on stdout where it is the result, else on stderr.

        Args:
            columns: their names.
            rows: their cells.
            bad: rows to print in red.
            result: it is the result.
            spare: columns to leave out where the terminal is too narrow, the most dispensable first.
        """
        if self.quiet and not result:
            return
        console, plain = (self._out, self._plain_out) if result else (self._err, self.plain)
        columns, rows = [*map(shown, columns)], [[*map(shown, row)] for row in rows]
        if plain:
            widths = [max(len(str(row[i])) for row in (columns, *rows)) for i in range(len(columns))]
            for row in (columns, *rows):
                cells = [str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
                console.file.write("  ".join(cells).rstrip() + "\n")
            return
        styles = ["red" if position < len(bad) and bad[position] else "" for position in range(len(rows))]
        columns, rows, left_out = tables.leave_out(columns, rows, spare, console.width)
        console.print(tables.table(columns, rows, styles, console.width))
        if left_out and set(left_out) - self._left_out:  # said once for tables of one kind
            self._print(console, f"A wider terminal also shows: {', '.join(reversed(left_out))}.", "dim")
        self._left_out.update(left_out)

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
            yield PlainProgress(self.note, total, done)
        else:
            with bar(self._err, total, done, doing, delay) as show:
                yield show

    @contextmanager
    def search(self, total: int) -> Iterator[SearchDisplay]:
        """Yield a display of a search for this many samples."""
        if self.quiet:
            yield SearchDisplay()
        elif self.plain:
            yield PlainSearch(self.note, total)
        else:
            display = LiveSearch(self._err, total, sheet_for(self._err))
            with display.shown():
                yield display

    @staticmethod
    def _print(console: Console, text: str, style: str) -> None:
        for line in wrap(printable(text), console.width):
            console.print(Text(line, style), soft_wrap=True)
