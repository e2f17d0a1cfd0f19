"""Files with a line of JSON for each sample, read one by one: a run of a million samples fits in little memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from equidiff.folders.atomic import write_atomically
from equidiff.folders.json_files import MOST_BYTES, parse_json

INDEX = re.compile(rb'\{"index": ?(\d{1,15})[,}]')
Span = tuple[int, int]  # first byte, and the one behind the last


def read_lines(file: Path) -> Iterator[tuple[Span, bytes]]:
    """Lines, the last one only if it is whole, and their places in the file. Only line feeds end a line."""
    if not file.is_file():
        return
    at = 0
    with file.open("rb") as lines:
        while line := lines.readline(MOST_BYTES):
            if line.endswith(b"\n"):
                yield (at, at + len(line)), line
            at += len(line)


def parse_line(line: bytes) -> Any:
    """The values of a line; None where it is damaged."""
    try:
        return parse_json(line)
    except ValueError:
        return None


def find_lines(file: Path) -> dict[int, Span]:
    """Places of the lines of each sample, those that follow each other as one, by index and in the order of the file.

    Lines that stand apart from the first ones of their sample are left out.
    """
    places: dict[int, Span] = {}
    last = None
    for (start, end), line in read_lines(file):
        match = INDEX.match(line)
        index = None if match is None else int(match[1])
        if index is not None and index not in places:
            places[index] = (start, end)
        elif index is not None and index == last and places[index][1] == start:
            places[index] = (places[index][0], end)
        last = index
    return places


def read_places(file: Path, places: Iterable[Span]) -> Iterator[bytes]:
    """The bytes at these places, in their order."""
    with file.open("rb") as lines:
        for start, end in places:
            lines.seek(start)
            yield lines.read(end - start)


def sort_lines(file: Path) -> None:
    """Put lines in the order of their indices, in one move."""
    places = find_lines(file)
    if list(places) != sorted(places):
        keep_lines(file, [places[index] for index in sorted(places)])


def keep_lines(file: Path, places: Iterable[Span]) -> None:
    """Replace a file by the bytes at these places, in one move."""

    def write(part: Path) -> None:
        if not file.is_file():
            part.touch()
            return
        with part.open("wb") as kept:
            kept.writelines(read_places(file, places))

    write_atomically(file, write)


def values_at(file: Path, place: Span | None) -> list[Any]:
    """The values of the lines at a place, without those that are damaged; none where there is no place."""
    if place is None:
        return []
    (data,) = read_places(file, [place])
    return [values for values in map(parse_line, data.split(b"\n")) if values is not None]
