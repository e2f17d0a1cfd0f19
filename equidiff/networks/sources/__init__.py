"""Libraries and files that networks come from, one module for each, chosen by the prefix of the name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from equidiff.networks.network import Network
from equidiff.networks.request import Request

# prefix: module; each has a function load(request)
SOURCES: Mapping[str, str] = {
    "timm": "timm",
    "torchvision": "torchvision",
    "hf": "transformers",
}


def source_of(model: str) -> str:
    """The prefix of a network's name; "timm" where it has none."""
    prefix = model.partition(":")[0]
    return prefix if prefix in SOURCES else "timm"


def load_from_source(request: Request) -> Network:
    """Load a network from the library or the file that its prefix names.

    Raises:
        EquiDiffError: it cannot be loaded; see `load_network`.
    """
    module = importlib.import_module(f"{__name__}.{SOURCES[source_of(request.model)]}")
    load: Callable[[Request], Any] = module.load
    return load(request)
