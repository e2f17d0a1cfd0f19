"""Catalog of the figures that `equidiff figure` draws, and the function that writes one to a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

from equidiff.analysis.figures.thesis import cutoff, grid, level_curves, logits, spectrum
from equidiff.analysis.figures.thesis.source import TEXT, Source
from equidiff.errors import RunFolderError, UnsupportedError, UsageError
from equidiff.folders.atomic import write_atomically
from equidiff.folders.text import shell_word
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Kind:
    """One of the figures.

    Attributes:
        draw: draws it.
        unsupported: gives the reason why it cannot be drawn of a run; None if it can.
        rows: gives the number of rows that go through generator or objective, for a progress bar.
        parts: it needs the generator and objective of the run.
    """

    draw: Callable[[Source], Figure]
    unsupported: Callable[[InvariantSet], str | None]
    rows: Callable[[InvariantSet], int]
    parts: bool


FIGURES = {
    "grid": Kind(grid.draw, grid.unsupported, grid.rows, False),
    "logits": Kind(logits.draw, logits.unsupported, logits.rows, False),
    "spectrum": Kind(spectrum.draw, spectrum.unsupported, spectrum.rows, True),
    "cutoff": Kind(cutoff.draw, cutoff.unsupported, cutoff.rows, True),
    "level-curves": Kind(level_curves.draw, level_curves.unsupported, level_curves.rows, True),
}


def fitting(found: InvariantSet) -> list[str]:
    """Names of the figures that can be drawn of a run."""
    return [name for name, kind in FIGURES.items() if kind.unsupported(found) is None]


def check_fits(name: str, found: InvariantSet, path: Path) -> None:
    """Raise unless the figure can be drawn of this run.

    Raises:
        UnsupportedError: it cannot.
    """
    reason = FIGURES[name].unsupported(found)
    if reason is not None:
        fits = fitting(found)
        raise UnsupportedError(
            f"The figure {name} cannot be drawn of this run: {reason}.",
            given=f"{path}, samples of shape {found.sample_shape}",
            expected="one of " + ", ".join(fits),
            hint=f"equidiff figure {shell_word(path)} --name {fits[0]}",
        )


def check_suffix(out: Path) -> None:
    """Raise unless the name of the file ends in .png, .svg or .pdf.

    Raises:
        UsageError: it does not.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            "The name of the file has no suffix of a known format.",
            given=out,
            expected="a name that ends in " + ", ".join(SUFFIXES),
            hint=f"--out {shell_word(out.with_suffix('.png'))}",
        )


def write_figure(name: str, source: Source, out: Path) -> Path:
    """Draw a figure and write it atomically, making its folder if needed.

    Args:
        name: one of `FIGURES`.
        source: the run.
        out: the file; its suffix is the format.

    Raises:
        EquiDiffError: the figure cannot be drawn of this run, or cannot be written.
    """
    buffer, suffix = io.BytesIO(), out.suffix.lower()[1:]
    with mpl.rc_context(TEXT):
        figure = FIGURES[name].draw(source)
        # without a date: the same figure is the same file
        figure.savefig(buffer, format=suffix, metadata=None if suffix == "png" else {_DATE[suffix]: None})
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return write_atomically(out, buffer.getvalue())
    except OSError as error:
        raise RunFolderError(
            f"The figure cannot be written: {error.strerror or error}",
            given=out,
            expected="a file name in a folder where you may write",
            hint=f"--out {name}.png",
        ) from error


_DATE = {"svg": "Date", "pdf": "CreationDate"}
