"""LightningDiT for EquiDiff: the published transformer and autoencoder, differentiable in the start noise.

from equidiff_lightningdit import load_transformer, sample_ode

model = load_transformer("lightningdit-xl-imagenet256-800ep.pt")
latents = sample_ode(model, torch.randn(1, 32, 16, 16), steps=50)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equidiff_lightningdit.autoencoder import load_autoencoder
    from equidiff_lightningdit.checkpoints import LatentStats, load_latent_stats, load_transformer
    from equidiff_lightningdit.config import TransformerConfig
    from equidiff_lightningdit.consistency import ConsistencyGenerator, sample_consistency
    from equidiff_lightningdit.generator import LightningDiTGenerator
    from equidiff_lightningdit.sampler import sample_ode, time_grid
    from equidiff_lightningdit.transformer import LightningDiT

# imported on first use: the entry point must load without torch
_HOMES = {
    "ConsistencyGenerator": "consistency",
    "LatentStats": "checkpoints",
    "LightningDiT": "transformer",
    "LightningDiTGenerator": "generator",
    "TransformerConfig": "config",
    "load_autoencoder": "autoencoder",
    "load_latent_stats": "checkpoints",
    "load_transformer": "checkpoints",
    "sample_consistency": "consistency",
    "sample_ode": "sampler",
    "time_grid": "sampler",
}
__all__ = [
    "ConsistencyGenerator", "LatentStats", "LightningDiT", "LightningDiTGenerator", "TransformerConfig",
    "load_autoencoder", "load_latent_stats", "load_transformer", "sample_consistency", "sample_ode", "time_grid",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
