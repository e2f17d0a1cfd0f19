"""Data frames, for those who have pandas."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from equidiff.errors import PluginError


def import_pandas() -> Any:
    """The module `pandas`, which EquiDiff does not need otherwise.

    Raises:
        PluginError: it is not installed.
    """
    try:
        return import_module("pandas")
    except ImportError as error:
        raise PluginError(
            f"A DataFrame needs a package that is missing: {error}", expected="pandas", hint="pip install pandas"
        ) from error
