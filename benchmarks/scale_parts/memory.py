"""Memory, time and size of a run, half a run, its rest, and of all that reads it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from scale_parts.processes import CLI, Measured, head, lines, measure, run_words, show

LOAD = "import sys, equidiff; found = equidiff.load(sys.argv[1]); print(len(found), found[-1].sample.shape)"
IMPORT = "import torch, equidiff.run.finished"
COLUMNS = ("samples", "command", "seconds", "CPU seconds", "peak MB", "folder MB", "files")


def table(sizes: dict[str, Sequence[int]], place: Path) -> None:
    """Measure at all sizes."""
    head("Memory, time and size", *COLUMNS)
    _row("", "import", measure(IMPORT))
    for kind, counts in sizes.items():
        for count in counts:
            folder = place / f"{kind}-{count}"
            for command, measured in _writing(kind, count, folder):
                _row(f"{count:,} {kind}", command, measured, folder if command == "run" else None)
            for command, measured in _reading(folder):
                _row(f"{count:,} {kind}", command, measured)


def table_of(run: Path) -> None:
    """Measure what reads a finished run."""
    head(f"Reading {run}", *COLUMNS)
    _row("", "import", measure(IMPORT))
    for command, measured in _reading(run):
        _row(f"{lines(run / 'members.jsonl'):,}", command, measured)


def _reading(run: Path) -> Iterator[tuple[str, Measured]]:
    yield "load", measure(LOAD, run)
    for command in ("report", "select", "figure", "evaluate"):
        yield command, measure(CLI, command, run, *(() if command == "report" else ("--device", "cpu")))


def _writing(kind: str, count: int, folder: Path) -> Iterator[tuple[str, Measured]]:
    """A run, and one that is interrupted half-way and resumed; the first stays in `folder`."""
    yield "run", measure(CLI, *run_words(kind, count, folder))
    half = folder.with_name(f"{folder.name}-half")
    yield "half a run", measure(CLI, *run_words(kind, count, half), stop=(half / "members.jsonl", count // 2))
    yield "resume", measure(CLI, "run", "--resume", half)


def _row(samples: str, command: str, measured: Measured, folder: Path | None = None) -> None:
    files = [] if folder is None else [each for each in folder.rglob("*") if each.is_file()]
    size = [] if folder is None else [f"{sum(each.stat().st_size for each in files) / 1e6:.1f}", f"{len(files):,}"]
    cells = (f"{measured.seconds:.1f}", f"{measured.cpu:.1f}", f"{measured.peak:.0f}")
    show(samples, command, *cells, *(size or ("", "")))
