"""Provenance of the code of a run: the versions of EquiDiff, torch, Python and each plugin."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from equidiff.registry.manager import FROM_FILE

if TYPE_CHECKING:
    from equidiff.registry.build import Built


def versions(built: Iterable[Built]) -> dict[str, str]:
    """Versions of EquiDiff, torch, Python and the distribution of each plugin that took part."""
    import torch

    found = {"equidiff": version("equidiff"), "torch": torch.__version__, "python": platform.python_version()}
    return found | {offer.distribution: _version(offer.distribution) for part in built for offer in part.offers}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return FROM_FILE
