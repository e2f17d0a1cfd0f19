"""Files of other commands that the page shows: selections, figures and images of comparisons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from equidiff.analysis.report.data_uris import figure_uri
from equidiff.analysis.report.results import damaged, text_of
from equidiff.folders.json_files import read_json
from equidiff.images.read import read_drawn

MOST = 16  # files of a kind


@dataclass(frozen=True)
class Figure:
    """An image that another command drew.

    Attributes:
        name: of its file, without the ending.
        file: its path in the run folder.
        image: data URI.
        size: width and height in pixels.
    """

    name: str
    file: str
    image: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Selected:
    """A selection of members.

    Attributes:
        by: the criterion.
        about: meaning of its scores, and the space of features.
        members: index of each, with its score as text; the best first.
    """

    by: str
    about: str
    members: list[tuple[int, str]]


def read_figures(path: Path) -> list[Figure]:
    """Figures of `equidiff figure`, in the order of their names; images that cannot be read are left out."""
    return _figures(path, sorted((path / "figures").glob("*.png")))


def read_comparison(path: Path) -> list[Figure]:
    """Images of `equidiff compare`."""
    return _figures(path, (path / "attributions" / name for name in ("compare.png", "freedom.png")))


def read_path_figures(path: Path) -> list[Figure]:
    """Images of `equidiff path`, for points, which have no frames."""
    return _figures(path, sorted((path / "paths").glob("*/path.png")))


def _figures(path: Path, files: Iterable[Path]) -> list[Figure]:
    found: list[Figure] = []
    for file in files:
        if len(found) == MOST:
            break
        image = _read_drawn(file)
        if image is None:
            continue
        uri, size = figure_uri(image)
        found.append(Figure(file.stem.replace("_", " "), file.relative_to(path).as_posix(), uri, size))
    return found


def _read_drawn(file: Path) -> Image.Image | None:
    """Read an image that a command drew, on white; None if it cannot be read."""
    image = read_drawn(file)
    if image is None:
        return None
    drawn = image.convert("RGBA")
    ground = Image.new("RGBA", drawn.size, "white")
    return Image.alpha_composite(ground, drawn).convert("RGB")


def read_selections(path: Path) -> list[Selected]:
    """Selections of `equidiff select`.

    Raises:
        RunFolderError: a file is damaged.
    """
    return [_selection(file) for file in sorted((path / "selections").glob("*.json"))[:MOST]]


def _selection(file: Path) -> Selected:
    try:
        about: dict[str, Any] = read_json(file)
        members = [(int(each["index"]), text_of(each.get("score"))) for each in about["members"]]
        meaning = f"{text_of(about.get('meaning'))}; compared by {text_of(about.get('features'))}"
        return Selected(text_of(about["by"]), meaning, members)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(file, "select") from error
