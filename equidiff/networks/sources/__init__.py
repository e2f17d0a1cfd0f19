"""Libraries and files that networks come from, one module for each, chosen by the prefix of the name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from equidiff.errors import unknown_name
from equidiff.networks.network import Network
from equidiff.networks.request import Request

# prefix: module; each has a function load(request)
SOURCES: Mapping[str, str] = {
    "timm": "timm",
    "torchvision": "torchvision",
    "hf": "transformers",
    "open_clip": "open_clip",
    "torchscript": "torchscript",
    "exported": "exported",
    "module": "own_code",
}


def load_from_source(request: Request) -> Network:
    """Load a network from the library or the file that its prefix names; from timm where it has none.

    Raises:
        UnknownNameError: there is no such prefix.
        EquiDiffError: it cannot be loaded; see `load_network`.
    """
    prefix, colon, _ = request.model.partition(":")
    if colon and prefix not in SOURCES:
        raise unknown_name("source of networks", prefix, SOURCES, hint="model=hf:NAME, model=torchvision:NAME, ...")
    module = importlib.import_module(f"{__name__}.{SOURCES[prefix] if colon else 'timm'}")
    load: Callable[[Request], Any] = module.load
    return load(request)
