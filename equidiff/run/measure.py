"""Image files measured as a run measures its query."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image
from torch import Tensor

from equidiff.contracts import Generator, Objective
from equidiff.errors import QueryError
from equidiff.images.convert import image_to_tensor
from equidiff.images.folder import ImageFile, read_ahead
from equidiff.run.query import Query, as_measured, measure_query


def measure_files(
    folder: Path, files: Iterable[ImageFile], objective: Objective, generator: Generator, device: str
) -> Iterator[tuple[Path, Tensor | QueryError]]:
    """Measure images in their order, which are read ahead in threads.

    Args:
        folder: of the files.
        files: to measure.
        objective: measures them.
        generator: an image is fitted to its samples, unless the objective takes any size.
        device: of the objective.

    Yields:
        The path of each file, with its measurement `[m]`, or with the error that says why there is none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for file, image in read_ahead(folder, files, lambda image: image):
            path = folder / file.path
            yield path, image if isinstance(image, QueryError) else _measure(path, image, objective, generator, device)


def _measure(
    path: Path, image: Image.Image, objective: Objective, generator: Generator, device: str
) -> Tensor | QueryError:
    try:
        query = as_measured(Query(str(path), image_to_tensor(image), image), objective, generator)
        return measure_query(query, objective, device)
    except QueryError as error:
        return error
