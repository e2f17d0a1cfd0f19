"""Folders of `equidiff samples`: a generator's prior samples, or its own queries, as files and tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from equidiff.analysis.evaluation.sample_sets import BatchRunner, Show
from equidiff.analysis.figures.grid import COLUMNS, put_image
from equidiff.analysis.figures.parallel import Layer, draw_lines
from equidiff.contracts import Generator, SampleKind
from equidiff.contracts.sample_kind import CONTOUR, LINES
from equidiff.errors import QueryError
from equidiff.folders.atomic import write_atomically
from equidiff.folders.paths import check_free, unwritable
from equidiff.folders.tensors import write_tensors
from equidiff.images.canvas import ACCENT, CAPTION, CELL, GAP, INK, MARGIN, fit, font
from equidiff.kinds.registry import kind_of
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.query import Query, as_sample, load_query
from equidiff.search.batching import ROWS

MOST = 256  # images in grid.png


@dataclass(frozen=True)
class Shown:
    """Samples to write.

    Attributes:
        title: of the contact sheet.
        tensors: `samples`, and `latents` where they are known; one row each.
        kind: of the samples.
        images: queries that are images, each in its own size; samples are written as they are where there are none.
    """

    title: str
    tensors: dict[str, Tensor]
    kind: SampleKind
    images: Sequence[Image.Image] = ()

    @property
    def picture(self) -> bool:
        """True if the samples can be drawn; points of a plane need a run to be drawn in."""
        return self.kind.overview(self.tensors["samples"].shape[1:]) != CONTOUR


def draw_samples(generator: Generator, spec: str, count: int, seed: int, runner: BatchRunner) -> Shown:
    """Draw prior samples; sample i depends on `(seed, i)` alone.

    Args:
        generator: draws them.
        spec: of the generator.
        count: how many.
        seed: of the latents.
        runner: computes them in batches.
    """
    # a pass of another number of rows would be rounded differently
    rows = math.ceil(count / ROWS) * ROWS if runner.batch % ROWS == 0 else count
    latents = prior_latents(generator, rows, seed, Stream.SHOWN)
    samples = runner.apply(generator.generate, latents, "drawing prior samples")[:count]
    title = f"{count} prior samples of {spec}, seed {seed}"
    return Shown(title, {"latents": latents[:count], "samples": samples}, kind_of(generator))


def check_queries(generator: Generator, spec: str) -> None:
    """Refuse a generator without queries of its own.

    Raises:
        QueryError: it has none.
    """
    if len(generator.queries()) == 0:
        raise QueryError(
            "This generator has no queries of its own.",
            given=spec,
            expected="a generator with queries, or no --queries",
            hint=f"equidiff samples -g {spec}",
        )


def read_queries(generator: Generator, spec: str, count: int | None, show: Show) -> Shown:
    """Read a generator's own queries, the first `count` or all."""
    own = len(generator.queries())
    queries: list[Query] = []
    for index in range(min(count or own, own)):
        queries.append(load_query(index, generator))
        show(index + 1, "reading queries")
    samples = torch.cat([as_sample(query, generator) for query in queries])
    title = f"{len(queries)} of {own} queries of {spec}" if len(queries) < own else f"the {own} queries of {spec}"
    images = [query.image for query in queries if query.image is not None]
    return Shown(title, {"samples": samples}, kind_of(generator), images)


def write_samples(path: Path, make: Callable[[], Shown]) -> Shown:
    """Make samples and write their folder in one move; return the samples.

    Raises:
        RunFolderError: something is there already, or it cannot be written.
    """
    check_free(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    shown = make()
    try:
        write_atomically(path, lambda folder: _write(folder, shown))
    except OSError as error:
        raise unwritable(path, error) from error
    return shown


def _write(folder: Path, shown: Shown) -> None:
    folder.mkdir()
    write_tensors(folder / "tensors.safetensors", shown.tensors)
    kind, samples = shown.kind, shown.tensors["samples"]
    if kind.suffix is not None:
        (folder / kind.folder).mkdir()
        for index, sample in enumerate(samples):
            file = folder / kind.folder / f"{index:05d}{kind.suffix}"
            if shown.images:
                shown.images[index].save(file)
            else:
                kind.write(file, sample)
    if kind.one_file is not None:
        kind.write_all(folder / kind.one_file, enumerate(samples))
    if shown.picture:
        _draw(shown).save(folder / "grid.png")


def _draw(shown: Shown) -> Image.Image:
    kind, samples = shown.kind, shown.tensors["samples"]
    if kind.overview(samples.shape[1:]) == LINES:
        return draw_lines(kind, [Layer("samples", samples, ACCENT)], (shown.title, ""))
    tiles = [kind.tile(sample, CELL) for sample in samples[:MOST]]
    if shown.images:
        tiles = [fit(image, CELL) for image in shown.images[:MOST]]
    return draw_sheet(shown.title, [tile for tile in tiles if tile is not None])


def draw_sheet(title: str, images: Sequence[Image.Image]) -> Image.Image:
    """Draw a contact sheet of tiles that fit into its cells, each with its index."""
    columns, step, top = min(COLUMNS, len(images)), CELL + GAP, MARGIN + 40
    rows = math.ceil(len(images) / columns)
    width = max(2 * MARGIN + columns * step - GAP, 2 * MARGIN + math.ceil(font(20).getlength(title)))
    canvas = Image.new("RGB", (width, top + rows * (step + CAPTION)), "white")
    ImageDraw.Draw(canvas).text((MARGIN, MARGIN - 6), title, INK, font(20))
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        corner = (MARGIN + column * step, top + row * (step + CAPTION))
        put_image(canvas, image, corner, CELL, str(index), INK)
    return canvas
