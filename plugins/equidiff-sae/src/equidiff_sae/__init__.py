"""Features of sparse autoencoders (SAEs) on Vision Transformers, as objectives for EquiDiff.

sae = equidiff_sae.load_sae("path/to/folder")
features = sae.encode(activations)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equidiff_sae.autoencoder import SparseAutoencoder
    from equidiff_sae.config import SaeConfig
    from equidiff_sae.load import load_sae

__all__ = ["SaeConfig", "SparseAutoencoder", "load_sae"]

_HOMES = {"SaeConfig": "config", "SparseAutoencoder": "autoencoder", "load_sae": "load"}


def __getattr__(name: str) -> Any:
    """Import on first use (PEP 562): listing plugins must not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
