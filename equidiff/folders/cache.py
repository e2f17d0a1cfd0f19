"""The folder in which EquiDiff keeps what can be made again, and the room that it may take there."""

from __future__ import annotations

import math
import os
from pathlib import Path

from platformdirs import user_cache_path

from equidiff.errors import UsageError

FOLDER, LIMIT = "EQUIDIFF_CACHE", "EQUIDIFF_CACHE_GB"  # environment variables
DEFAULT_GB = 4.0


def cache_folder() -> Path:
    """The folder of the cache, which need not exist: `EQUIDIFF_CACHE`, or one in the user's own cache."""
    given = os.environ.get(FOLDER)
    return Path(given).expanduser() if given else user_cache_path("equidiff", appauthor=False)


def cache_limit() -> float:
    """Bytes that the cache may take: `EQUIDIFF_CACHE_GB` times a billion.

    Raises:
        UsageError: the variable is not a number of at least 0.
    """
    given = os.environ.get(LIMIT)
    try:
        limit = DEFAULT_GB if not given else float(given)
    except ValueError:
        limit = math.nan
    if not limit >= 0:
        raise UsageError(
            "The room for the cache is not a number.", given=f"{LIMIT}={given}", expected=f"gigabytes, as in {LIMIT}=4"
        )
    return limit * 1e9
