"""The query: an image file, a sample in Python, or one of the generator's own; and targets given as numbers."""

from __future__ import annotations

import glob
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from equidiff.contracts import Generator, Objective
from equidiff.contracts.sample_kind import SampleKind
from equidiff.errors import QueryError, UsageError
from equidiff.folders.text import shell_word
from equidiff.images.convert import image_to_tensor, quantized, to_image
from equidiff.images.fit import fit_image
from equidiff.images.read import EXPECTED, describe_frames, is_there, read_image, to_grey_or_rgb, upright
from equidiff.kinds.registry import kind_of

KEPT = 1024 * 1024  # pixels
DEFAULT_INDEX = 3  # of the generator's own queries, where the user names none


@dataclass(frozen=True)
class Query:
    """A query that was found and read.

    Attributes:
        source: the path, or "NAME query INDEX", as recorded in `run.json`.
        sample: `[1, *shape]` float32, in its own size; images in [0, 1].
        image: the image itself; None for a sample of another kind.
    """

    source: str
    sample: Tensor
    image: Image.Image | None


def load_query(query: str | int | Path | Image.Image | Tensor | np.ndarray[Any, Any], generator: Generator) -> Query:
    """Find and read a query.

    Args:
        query: an index into the generator's own queries, the path of a file of the generator's kind (or a shell
            pattern that matches one image), an image, or one sample as a tensor or an array. An array of uint8 is an
            image, H x W or H x W x 3; one of floats is in [0, 1] in these layouts, or C x H x W like a tensor.
        generator: for its own queries and the shape of its samples.

    Raises:
        QueryError: it is missing, unreadable, of the wrong kind, or out of range.
    """
    if isinstance(query, Tensor):
        return _from_tensor(query, generator)
    if isinstance(query, np.ndarray):
        return _from_array(query, generator)
    if isinstance(query, Image.Image):
        require_images(generator, "an image")
        image = to_grey_or_rgb(upright(query), "the image given")
        return Query("a picture given in Python", image_to_tensor(image), image)
    if isinstance(query, bool) or not isinstance(query, int | np.integer | str | Path):
        raise QueryError(
            "A query cannot be of this type.",
            given=type(query).__name__,
            expected="an index, an image or its path, a tensor, or a numpy array",
        )
    if isinstance(query, int) or re.fullmatch(r"-*\d{1,18}", str(query)):
        return _own(int(str(query)), generator)
    kind = kind_of(generator)
    if not kind.is_image:
        source, sample = kind.read_query(str(query), tuple(generator.sample_shape))
        return Query(source, sample, None)
    path = _one_file(str(query))
    if path.is_dir():
        hint = f"--query {shell_word(f'top:{path}')}"
        raise QueryError("The query is a folder.", given=path, expected=EXPECTED, hint=hint)
    image = read_image(path)
    return Query(f"{path}{describe_frames(image)}", image_to_tensor(image), image)


def as_sample(query: Query, generator: Generator) -> Tensor:
    """The query in the shape of the generator's samples, `[1, *sample_shape]`; an image is fitted by `fit_image`.

    Raises:
        QueryError: it has another shape, and is not an image, or the generator does not make images.
    """
    shape = generator.sample_shape
    if query.image is not None and kind_of(generator).is_image:
        return fit_image(query.image, shape)
    if tuple(query.sample.shape[1:]) != tuple(shape):
        raise QueryError(
            "The query does not have the shape of this generator's samples.",
            given=f"{query.source}, of shape {tuple(query.sample.shape[1:])}",
            expected=f"shape {tuple(shape)}",
        )
    return query.sample


def as_measured(query: Query, objective: Objective, generator: Generator) -> Query:
    """The query as the objective measures it: in its own size where `Objective.resizes` says that it may be.

    Else it is fitted to the generator's samples, which are all that the objective is made for.

    Args:
        query: as it was read.
        objective: which measures it.
        generator: makes samples of the shape that it gets.
    """
    kind, shape = kind_of(generator), generator.sample_shape
    if objective.resizes or not kind.is_image:
        return query
    if query.image is None:
        return replace(query, sample=kind.fit(query.sample, shape))
    sample = fit_image(query.image, shape)
    return replace(query, sample=sample, image=to_image(sample[0]))


def as_kept(query: Query, generator: Generator) -> Query:
    """The query as the run folder keeps it, to be shown and explained: a large image reduced, others as they are.

    Args:
        query: as it was measured.
        generator: of whose samples the query keeps four times the pixels, or `KEPT`, if that is more.
    """
    sample, shape = query.sample, generator.sample_shape
    if kind_of(generator).is_image:
        height, width = sample.shape[2:]
        share = math.sqrt(max(4 * shape[1] * shape[2], KEPT) / (height * width))
        if share < 1:
            size = (max(round(height * share), 1), max(round(width * share), 1))
            sample = quantized(interpolate(sample, size, mode="area"))
    return replace(query, sample=sample, image=None)


def default_query(generator: Generator) -> int | str:
    """The query that a run takes by default: the index of the generator's own query 3, or of its first.

    A generator without queries of its own asks about one of its prior samples.
    """
    count = len(generator.queries())
    return "prior" if count == 0 else DEFAULT_INDEX if count > DEFAULT_INDEX else 0


def measure_query(query: Query, objective: Objective, device: str) -> Tensor:
    """The target y* = f(x*), `[m]`, by the function that measures samples.

    Raises:
        QueryError: the measurement is not finite.
    """
    with torch.no_grad():
        value = objective.measure(query.sample.to(device))[0].float()
    if not value.isfinite().all():
        raise QueryError("The objective does not give a finite value for this query.", given=query.source)
    return value


def parse_target(text: str, outputs: int) -> Tensor:
    """Read `--target`: numbers separated by commas, one for each output.

    Raises:
        UsageError: not numbers, not finite, or not as many as the objective has outputs.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [math.nan]
    if len(values) != outputs or not all(map(math.isfinite, values)):
        raise UsageError(
            "This target cannot be used.",
            given=text,
            expected=f"{outputs} finite number{'s' * (outputs > 1)}{', separated by commas' * (outputs > 1)}",
            hint="--target 1.5" if outputs == 1 else "--target 1.5,0.2,...",
        )
    return torch.tensor(values)


def _from_tensor(sample: Tensor, generator: Generator, kind: str = "tensor") -> Query:
    shape, samples_are = tuple(generator.sample_shape), kind_of(generator)
    if sample.ndim == len(shape):
        sample = sample[None]
    good = tuple(sample.shape) == (1, *shape)
    if samples_are.is_image:  # of any size
        good = sample.ndim == 4 and sample.shape[:2] in {(1, 1), (1, 3)}
    if not good or not sample.isfinite().all():
        raise QueryError(
            f"This {kind} is not a query.",
            given=f"shape {tuple(sample.shape)}",
            expected="one finite sample: " + _one_of(samples_are, shape),
        )
    return Query(f"{'an' if kind == 'array' else 'a'} {kind} given in Python", sample.detach().float(), None)


def _one_of(kind: SampleKind, shape: tuple[int, ...]) -> str:
    return "1 or 3 channels, any size" if kind.is_image else f"a {kind.noun} of shape {shape}"


def _from_array(array: np.ndarray[Any, Any], generator: Generator) -> Query:
    if kind_of(generator).is_image:
        return _from_image_array(array, generator)
    if array.dtype.kind not in "fiu":
        raise _no_query(f"{array.dtype} of shape {array.shape}", f"numbers of shape {tuple(generator.sample_shape)}")
    return _from_tensor(_to_float(array), generator, "array")


def _from_image_array(array: np.ndarray[Any, Any], generator: Generator) -> Query:
    expected = "an image, H x W or H x W x 3, as uint8 or as floats in [0, 1]; or a sample, C x H x W, as floats"
    channels_last = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in {1, 3})
    if array.dtype == np.uint8 and channels_last and array.size:
        image = Image.fromarray(np.ascontiguousarray(array[:, :, 0] if array.shape[2:] == (1,) else array))
        return Query("an array given in Python", image_to_tensor(image), image)
    if array.dtype.kind != "f" or not array.size:
        raise _no_query(f"{array.dtype} of shape {array.shape}", expected)
    sample = _to_float(array)
    if array.ndim == 2 or (channels_last and array.shape[0] not in {1, 3}):
        if not 0 <= float(sample.min()) <= float(sample.max()) <= 1:
            raise _no_query(f"values from {sample.min():.4g} to {sample.max():.4g}", expected)
        sample = sample[None] if array.ndim == 2 else sample.permute(2, 0, 1)
    return _from_tensor(sample, generator, "array")


def _to_float(array: np.ndarray[Any, Any]) -> Tensor:
    with np.errstate(over="ignore"):  # what overflows is refused later, as not finite
        return torch.tensor(array.astype(np.float32))


def _no_query(given: str, expected: str) -> QueryError:
    return QueryError("This array is not a query.", given=given, expected=expected)


def _own(index: int, generator: Generator) -> Query:
    queries, kind = generator.queries(), kind_of(generator)
    if not 0 <= index < len(queries):
        raise QueryError(
            "There is no such query." if len(queries) else "This generator has no queries of its own.",
            given=index,
            expected=f"an index from 0 to {len(queries) - 1}, or {kind.query_in_words}"
            if len(queries)
            else kind.query_in_words,
            hint="--query 0" if len(queries) else kind.query_hint,
        )
    chosen = queries[index]
    source = f"the generator's own query {index}"
    if isinstance(chosen, Tensor):
        return Query(source, chosen[None].float(), None)
    image = to_grey_or_rgb(chosen, source)
    return Query(source, image_to_tensor(image), image)


def require_images(generator: Generator, given: str) -> None:
    """Refuse an image where the generator makes samples of another kind.

    Raises:
        QueryError: it does.
    """
    kind, count = kind_of(generator), len(generator.queries())
    if not kind.is_image:
        raise QueryError(
            f"This generator makes {kind.plural}, so an image cannot be its query.",
            given=given,
            expected=f"an index from 0 to {count - 1}" if count else kind.query_in_words,
            hint="--query 0" if count else kind.query_hint,
        )


def _one_file(text: str) -> Path:
    path = Path(text).expanduser()
    if is_there(path):
        return path
    matches = sorted(glob.glob(str(path)))
    if len(matches) != 1:
        problem = f"{len(matches)} files match the query." if matches else "The query does not exist."
        hint = f"--query {shell_word(matches[0]) if matches else '0'}"
        raise QueryError(problem, given=text, expected=EXPECTED, hint=hint)
    return Path(matches[0])
