"""Where the code of a run came from: versions of EquiDiff, torch, Python and of each plugin."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from equidiff.registry.build import Built

FROM_FILE = "a file"  # in the place of a version, for a plugin that is one file


def versions(built: Iterable[Built]) -> dict[str, str]:
    """Versions of EquiDiff, torch, Python and each plugin's distribution that took part."""
    import torch

    found = {"equidiff": version("equidiff"), "torch": torch.__version__, "python": platform.python_version()}
    return found | {offer.distribution: _version(offer.distribution) for part in built for offer in part.offers}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return FROM_FILE
