"""Which figures there are, and how one becomes a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl

from equidiff.analysis.figures import cutoff, grid, level_curves, logits, spectrum
from equidiff.analysis.figures.source import TEXT, Source
from equidiff.errors import RunFolderError, UnsupportedError, UsageError
from equidiff.folders import write_atomically
from equidiff.run.invariant_set import InvariantSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Kind:
    """One of the figures.

    Attributes:
        draw: draws it.
        unfit: why it cannot be drawn of a run; None where it can.
        rows: how many rows will go through generator or objective, for a progress bar.
        parts: whether it needs the run's generator and objective.
    """

    draw: Callable[[Source], Figure]
    unfit: Callable[[InvariantSet], str | None]
    rows: Callable[[InvariantSet], int]
    parts: bool


FIGURES = {
    "grid": Kind(grid.draw, grid.unfit, grid.rows, False),
    "logits": Kind(logits.draw, logits.unfit, logits.rows, False),
    "spectrum": Kind(spectrum.draw, spectrum.unfit, spectrum.rows, True),
    "cutoff": Kind(cutoff.draw, cutoff.unfit, cutoff.rows, True),
    "level-curves": Kind(level_curves.draw, level_curves.unfit, level_curves.rows, True),
}


def fitting(found: InvariantSet) -> list[str]:
    """The figures that can be drawn of a run."""
    return [name for name, kind in FIGURES.items() if kind.unfit(found) is None]


def check_fits(name: str, found: InvariantSet, path: Path) -> None:
    """Raise unless the figure can be drawn of this run.

    Raises:
        UnsupportedError: it cannot.
    """
    why = FIGURES[name].unfit(found)
    if why is not None:
        fits = fitting(found)
        raise UnsupportedError(
            f"The figure {name} cannot be drawn of this run: {why}.",
            given=f"{path}, samples of shape {tuple(found.samples.shape[1:])}",
            expected="one of " + ", ".join(fits),
            hint=f"equidiff figure {path} --name {fits[0]}",
        )


def check_suffix(out: Path) -> None:
    """Raise unless the file's name says that it is to be png, svg or pdf.

    Raises:
        UsageError: it does not.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            "The kind of file is not known by its name.",
            given=out,
            expected="a name that ends in " + ", ".join(SUFFIXES),
            hint=f"--out {out.with_suffix('.png')}",
        )


def make(name: str, source: Source, out: Path) -> Path:
    """Draw a figure and write it in one move; folders are made.

    Args:
        name: one of `FIGURES`.
        source: the run.
        out: the file; its suffix says of which kind.

    Raises:
        EquiDiffError: the figure cannot be drawn of this run, or not be written.
    """
    buffer, form = io.BytesIO(), out.suffix.lower()[1:]
    with mpl.rc_context(TEXT):
        figure = FIGURES[name].draw(source)
        # without a date: the same figure is the same file
        figure.savefig(buffer, format=form, metadata=None if form == "png" else {_DATE[form]: None})
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
