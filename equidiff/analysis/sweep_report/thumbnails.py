"""The query and the first members of a run as one small image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image

from equidiff.analysis.report.data_uris import strip_uri
from equidiff.folders.json_files import parse_json
from equidiff.images.read import read_drawn
from equidiff.search.engine import MEMBER

MEMBERS = 5
SIDE = 44  # pixels; larger images are shrunk
GAP, WIDE_GAP = 1, 6  # between members, and behind the query
MOST_LINES = 64  # of members.jsonl, among which members are looked for
LONGEST_LINE = 100_000  # bytes
OWN = re.compile(r"images/(?:\d{3,}/)?\d{5,}\.png")  # a path that cannot lead out of the folder


@dataclass(frozen=True)
class Strip:
    """A row of thumbnails.

    Attributes:
        uri: of the image.
        width: of it, in pixels.
        height: likewise.
        small: its images have the size that they have in their files.
        text: says what it shows.
    """

    uri: str
    width: int
    height: int
    small: bool
    text: str


def strip_of(run: Path) -> Strip | None:
    """The thumbnails of a run; None where it has no images."""
    query = read_drawn(run / "query.png")
    members = [image for image in map(read_drawn, _member_files(run)) if image is not None]
    images = [*([query] if query is not None else []), *members]
    if not members:
        return None
    small = max(max(image.size) for image in members) <= SIDE
    shown = [_fitted(image) for image in images]
    offsets: list[int] = []
    width = 0
    for place, image in enumerate(shown):
        offsets.append(width)
        width += image.width + (WIDE_GAP if query is not None and place == 0 else GAP)
    strip = Image.new("RGBA", (width - GAP, max(image.height for image in shown)), (0, 0, 0, 0))
    for offset, image in zip(offsets, shown, strict=True):
        strip.paste(image, (offset, 0))
    text = f"{'the query and ' if query is not None else ''}{len(members)} members"
    return Strip(strip_uri(strip, small), *strip.size, small, text)


def _fitted(image: Image.Image) -> Image.Image:
    image = image.convert("RGB")
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image


def _member_files(run: Path) -> list[Path]:
    """Image files of the first members."""
    found: list[Path] = []
    try:
        with (run / "members.jsonl").open("rb") as file:
            for line in islice(iter(lambda: file.readline(LONGEST_LINE), b""), MOST_LINES):
                image = _image_of(line)
                if image is not None:
                    found.append(run / image)
                if len(found) == MEMBERS:
                    break
    except OSError:
        return []
    return found


def _image_of(line: bytes) -> str | None:
    try:
        record = parse_json(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("status") != MEMBER:
        return None
    image = record.get("image")
    return image if isinstance(image, str) and OWN.fullmatch(image) else None
