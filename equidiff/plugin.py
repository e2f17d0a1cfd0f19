"""All that a plugin module needs to describe its components; it imports nothing heavy.

`Signal`, `Table`, `Column` and `SampleKind` are here too, for modules of generators; asking for them imports torch.
"""

from __future__ import annotations

from typing import Any

from equidiff.errors import EquiDiffError, PluginError, UnknownNameError, unknown_name
from equidiff.registry.descriptors import Descriptor, Options, Published, Reference
from equidiff.registry.hookspecs import hookimpl

# imported on first use: listing components must not wait for torch
_KINDS = {
    "Column": "equidiff.kinds.table",
    "SampleKind": "equidiff.contracts",
    "Signal": "equidiff.kinds.signal",
    "Table": "equidiff.kinds.table",
}

__all__ = [
    "Descriptor",
    "EquiDiffError",
    "Options",
    "PluginError",
    "Published",
    "Reference",
    "UnknownNameError",
    "hookimpl",
    "unknown_name",
    *_KINDS,
]


def __getattr__(name: str) -> Any:
    if name in _KINDS:
        import importlib

        return getattr(importlib.import_module(_KINDS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
