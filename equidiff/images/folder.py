"""Folders of images: finding them and their labels, and reading them in threads, ahead of the caller."""

from __future__ import annotations

import csv
import os
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from PIL.Image import Image

from equidiff.errors import QueryError
from equidiff.images.read import is_there, read_image

# HEIC too, so that photographs of a phone are named as unreadable, not passed over
SUFFIXES = {".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpeg", ".jpg", ".mpo", ".pgm", ".png", ".pnm"}
SUFFIXES |= {".ppm", ".tif", ".tiff", ".webp"}
EXPECTED = f"a folder with images in it ({', '.join(sorted(SUFFIXES))})"
PREFIX = re.compile(r"(n\d{8}|\d+)_")
MOST_OTHERS = 50_000  # files and folders that are looked at before few images among them are too few
LEAST_SHARE = 0.1
AHEAD = 64  # images that are read before they are asked for
READERS = 8
TELL_EVERY_S = 2.0  # while a large folder is looked through

Tell = Callable[[str], None]

T = TypeVar("T")


@dataclass(frozen=True)
class ImageFile:
    """An image in a folder.

    Attributes:
        path: relative to the folder, with forward slashes.
        label: its class, as the folder tells it; None where the folder does not.
    """

    path: str
    label: str | None = None


def find_images(folder: Path, labels: Path | None = None, tell: Tell = lambda _doing: None) -> list[ImageFile]:
    """List the images in a folder and its sub-folders, sorted by path; hidden ones are left out.

    Labels are those of a file; else the first sub-folder's name, where every image is in one; else the number or the
    WordNet synset that every file name begins with, as in `340_zebra.jpg`; else none.

    Args:
        folder: to search.
        labels: a CSV file with the columns `image` (a path as above) and `label`.
        tell: called with how far the search is, where it takes longer than two seconds.

    Raises:
        QueryError: the folder is missing, or contains no images; or the file of labels cannot be used.
    """
    if not is_there(folder, EXPECTED) or not folder.is_dir():
        problem = "The folder of images is a file." if folder.exists() else "The folder of images does not exist."
        raise QueryError(problem, given=folder, expected=EXPECTED)
    paths = sorted(_image_paths(folder, tell))
    if not paths:
        problem = "There are no images in this folder." if any(folder.iterdir()) else "The folder is empty."
        raise QueryError(problem, given=folder, expected=EXPECTED)
    if labels is not None:
        known = _read_labels(labels)
        found = [ImageFile(path.as_posix(), known.get(path.as_posix())) for path in paths]
        if not any(file.label for file in found):
            raise QueryError(
                "The file labels none of these images.",
                given=f"{labels}: {next(iter(known), 'no line')}",
                expected=f"paths relative to the folder, such as {paths[0].as_posix()}",
            )
        return found
    return [ImageFile(path.as_posix(), label) for path, label in zip(paths, _own_labels(paths), strict=True)]


def _image_paths(folder: Path, tell: Tell) -> list[Path]:
    """Images that are not hidden, relative to the folder; links to other folders are not followed.

    Raises:
        QueryError: it is no folder of images but a disk: of very many files, few are images.
    """
    found: list[Path] = []
    looked, told = 0, time.monotonic()
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = [Path(place, name) for name in files if not name.startswith(".")]
        found += [path.relative_to(folder) for path in visible if path.suffix.lower() in SUFFIXES]
        looked += len(folders) + len(visible)
        if time.monotonic() - told >= TELL_EVERY_S:
            told = time.monotonic()
            tell(f"looking for images: {len(found):,} among {looked:,} files and folders so far")
        if looked > MOST_OTHERS and len(found) < looked * LEAST_SHARE:
            raise QueryError(
                f"This is no folder of images: of {looked:,} files and folders in it, {len(found):,} are images.",
                given=folder,
                expected="a folder that holds mostly images",
                hint="name the folder within it that has them",
            )
    return found


def _own_labels(paths: Sequence[Path]) -> Sequence[str | None]:
    if all(len(path.parts) > 1 for path in paths):
        return [path.parts[0] for path in paths]
    prefixes = [match[1] for match in (PREFIX.match(path.name) for path in paths) if match]
    if len(prefixes) < len(paths):
        return [None] * len(paths)
    return [str(int(prefix)) if prefix.isdecimal() else prefix for prefix in prefixes]


def _read_labels(path: Path) -> dict[str, str]:
    try:
        # names in it may be of other bytes than UTF-8, as on the disk
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.DictReader(file)
            fits = {"image", "label"} <= set(rows.fieldnames or [])
            known = {row["image"]: row["label"] for row in rows if row["label"]} if fits else {}
    except (OSError, csv.Error) as error:
        raise QueryError(f"The labels cannot be read: {error}", given=path, expected="a CSV file") from error
    if not fits:
        raise QueryError(
            "The file of labels lacks a column.", given=path, expected="a CSV file whose first line is: image,label"
        )
    return known


def read_ahead(
    folder: Path, files: Iterable[ImageFile], prepare: Callable[[Image], T]
) -> Generator[tuple[ImageFile, T | QueryError], None, None]:
    """Read and prepare images in threads, ahead of the caller, who gets them in order.

    Args:
        folder: of the files.
        files: to read.
        prepare: called with each image, from several threads.

    Yields:
        Each file, with the result of `prepare` or the error that says why it cannot be read.
    """

    def read(file: ImageFile) -> T | QueryError:
        try:
            image = read_image(folder / file.path)
        except QueryError as error:
            return error
        return prepare(image)

    waiting: deque[tuple[ImageFile, Future[T | QueryError]]] = deque()
    left = iter(files)
    pool = ThreadPoolExecutor(min(READERS, os.cpu_count() or 1), thread_name_prefix="read")
    try:
        waiting.extend((file, pool.submit(read, file)) for file in islice(left, AHEAD))
        while waiting:
            file, future = waiting.popleft()
            result = future.result()
            waiting.extend((file, pool.submit(read, file)) for file in islice(left, 1))
            yield file, result
    finally:
        pool.shutdown(cancel_futures=True)
