"""A pass of a network over a folder of images."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import final

import torch
from PIL import Image
from torch import Tensor

from equidiff.errors import QueryError
from equidiff.images.folder import ImageFile, read_ahead
from equidiff.networks import Units
from equidiff.rank.folder import RankFolder

Show = Callable[[int, str], None]
Readings = Iterator[tuple[ImageFile, Tensor | QueryError]]


def scan(folder: RankFolder, images: Path, units: Units, batch: int, show: Show) -> None:
    """Measure the remaining images, one file of activations at a time; images are read while the network works.

    Args:
        folder: the ranking, which lists the images and stores the activations.
        images: the folder of the images.
        units: the units to read.
        batch: images per forward pass.
        show: called with the number of finished images and a line about them.
    """
    missing = folder.missing()
    rows = list(chain.from_iterable(missing))
    progress = _Progress(show, len(folder.images) - len(rows), len(folder.broken()))
    with warnings.catch_warnings():
        # set here, not where images are opened: all threads share the filters
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        readings = read_ahead(images, (folder.images[row] for row in rows), units.tap.network.prepare_image)
        try:
            for chunk in missing:
                folder.add(chunk, *_measure(readings, len(chunk), units, batch, progress))
        finally:
            readings.close()


@torch.inference_mode()
def _measure(
    readings: Readings, count: int, units: Units, batch: int, progress: _Progress
) -> tuple[Tensor, dict[str, str]]:
    """Activations `[count, units]` of the next images, and the reason for each that could not be read."""
    values = torch.full((count, units.count), torch.nan)
    broken: dict[str, str] = {}
    rows: list[int] = []
    inputs: list[Tensor] = []
    for row, (file, reading) in enumerate(islice(readings, count)):
        if isinstance(reading, QueryError):
            broken[file.path] = reading.problem
        else:
            rows.append(row)
            inputs.append(reading)
        if rows and (len(rows) == batch or row == count - 1):
            values[rows] = units.read_every(torch.cat(inputs)).float().cpu()
            progress.add(len(rows))
            rows.clear()
            inputs.clear()
    progress.add(len(broken), len(broken))
    return values, broken


@final
class _Progress:
    def __init__(self, show: Show, done: int, broken: int) -> None:
        self._show, self._done, self._broken = show, done, broken
        self._first, self._started = done, time.monotonic()

    def add(self, images: int, broken: int = 0) -> None:
        self._done += images
        self._broken += broken
        rate = (self._done - self._first) / max(time.monotonic() - self._started, 1e-9)
        self._show(self._done, f"{rate:.0f} images/s" + (f", {self._broken} cannot be read" if self._broken else ""))
