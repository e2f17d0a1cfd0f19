"""Image files measured as a run measures its query."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image
from torch import Tensor

from equidiff.contracts import Objective
from equidiff.errors import QueryError
from equidiff.images.convert import image_to_tensor
from equidiff.images.folder import ImageFile, read_ahead
from equidiff.run.query import Query, measure_query


def measure_files(
    folder: Path, files: Iterable[ImageFile], objective: Objective
) -> Iterator[tuple[Path, Tensor | QueryError]]:
    """Measure images in their order, which are read ahead in threads.

    Args:
        folder: of the files.
        files: to measure.
        objective: measures them.

    Yields:
        The path of each file, with its measurement `[m]`, or with the error that says why there is none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for file, image in read_ahead(folder, files, lambda image: image):
            path = folder / file.path
            yield path, image if isinstance(image, QueryError) else _measure(path, image, objective)


def _measure(path: Path, image: Image.Image, objective: Objective) -> Tensor | QueryError:
    try:
        query = Query(str(path), image_to_tensor(image), image)
        return measure_query(query, objective, "cpu")  # the objective moves an image to its own device
    except QueryError as error:
        return error
