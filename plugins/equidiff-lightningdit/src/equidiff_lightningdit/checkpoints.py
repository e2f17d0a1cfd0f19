"""Readers of the published files: transformer, autoencoder and latent statistics, recognised by their content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.errors import WeightsError
from equidiff.networks.checkpoints import put_weights, read_weights
from equidiff_lightningdit.config import TransformerConfig
from equidiff_lightningdit.transformer import LightningDiT

WRAPPERS = ("emas", "ema", "state_dict", "model")  # keys of the weights in a larger file, the averaged weights first
AVERAGE = "ema_models.1.ema_model."  # before the names of PostHocEMA's second average, which FACM samples
PREFIXES = ("module.", "_orig_mod.")  # prefixes that wrappers of a module add to its names
ROLES = {
    "transformer": "x_embedder.proj.weight",
    "autoencoder": "decoder.conv_in.weight",
    "latent statistics": "std",
}  # a key that no other file has


@dataclass(frozen=True)
class LatentStats:
    """Mean and standard deviation of the autoencoder's latents, channel by channel.

    Attributes:
        mean: `[1, channels, 1, 1]`, float32.
        std: the same shape, above 0.
        multiplier: factor on normalised latents in training; 1 for the published checkpoints.
    """

    mean: Float[Tensor, "1 channels 1 1"]
    std: Float[Tensor, "1 channels 1 1"]
    multiplier: float = 1.0

    def normalise(self, latents: Tensor) -> Tensor:
        """Map the autoencoder's latents to the transformer's."""
        return (latents - self.mean) / self.std * self.multiplier

    def denormalise(self, latents: Tensor) -> Tensor:
        """Map the transformer's latents to the autoencoder's."""
        return latents * self.std / self.multiplier + self.mean

    def to(self, device: str) -> LatentStats:
        """Copy to another device."""
        return LatentStats(self.mean.to(device), self.std.to(device), self.multiplier)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the state dict from a file of any published layout, without prefixes, on the CPU.

    Raises:
        WeightsError: the file is missing or damaged, holds no state dict, or holds code, which is never run.
    """
    content = {_stripped(key): value for key, value in read_weights(path, WRAPPERS).items()}
    averaged = {key.removeprefix(AVERAGE): value for key, value in content.items() if key.startswith(AVERAGE)}
    return {_stripped(key): value for key, value in averaged.items()} or content


def role_of(weights: Mapping[str, Tensor]) -> str | None:
    """Role of a file: "transformer", "autoencoder", "latent statistics", or None."""
    return next((role for role, key in ROLES.items() if key in weights), None)


def load_transformer(path: str | Path, heads: int | None = None) -> LightningDiT:
    """Load a LightningDiT; its configuration is read from the weights.

    Args:
        path: a `.pt` file (with `ema`, `model`, or the bare state dict; prefixes `module.` are dropped), or the same
            as safetensors. Every tensor must fit.
        heads: attention heads; needed only for checkpoints with neither rotary tables nor qk-norm.

    Returns:
        Frozen, in evaluation mode, float32, on the CPU.

    Raises:
        WeightsError: the file is missing or damaged, holds code, has another role, or lacks tensors (which are named).
    """
    path = Path(path)
    return build_transformer(read_checkpoint(path), path, heads)


def build_transformer(weights: Mapping[str, Tensor], path: Path, heads: int | None = None) -> LightningDiT:
    """Build the transformer from the content of a file; see `load_transformer`."""
    check_role(weights, path, "transformer")
    with torch.device("meta"):
        model = LightningDiT(TransformerConfig.from_weights(weights, heads))
    model.to_empty(device="cpu")
    put_weights(model, dict(weights), path, hint="a complete checkpoint of LightningDiT")
    return model.eval().requires_grad_(False)


def load_latent_stats(path: str | Path, multiplier: float = 1.0) -> LatentStats:
    """Load `latents_stats.pt`: `mean` and `std`, `[1, channels, 1, 1]` each.

    Args:
        path: a `.pt` or safetensors file.
        multiplier: factor on normalised latents in training.

    Raises:
        WeightsError: the file is missing or damaged, has another role, or its numbers cannot be statistics.
    """
    path = Path(path)
    return build_latent_stats(read_checkpoint(path), path, multiplier)


def build_latent_stats(weights: Mapping[str, Tensor], path: Path, multiplier: float = 1.0) -> LatentStats:
    """Build the statistics from the content of a file; see `load_latent_stats`."""
    check_role(weights, path, "latent statistics")
    mean, std = (weights[name].float() if name in weights else torch.empty(0) for name in ("mean", "std"))
    good = mean.ndim == 4 and mean.shape == std.shape == (1, mean.shape[1], 1, 1) and bool((std > 0).all())
    if not good or not bool(mean.isfinite().all() & std.isfinite().all()):
        raise WeightsError(
            "These are not latent statistics.",
            given=f"{path}: mean {tuple(mean.shape)}, std {tuple(std.shape)}",
            expected="finite mean and std of shape (1, channels, 1, 1), std above 0",
        )
    return LatentStats(mean, std, multiplier)


def check_role(weights: Mapping[str, Tensor], path: Path, role: str) -> None:
    """Raise unless the content of a file has this role."""
    found = role_of(weights)
    if found == role:
        return
    raise WeightsError(
        f"This file is not the {role} of a LightningDiT" + (f", but the {found}." if found else "."),
        given=f"{path}, with {len(weights)} tensors such as {next(iter(weights), 'none')}",
        expected=f"a file with {ROLES[role]} in it",
        hint="lightningdit:FOLDER recognises all three files in a folder",
    )


def _stripped(key: str) -> str:
    while key.startswith(PREFIXES):
        for prefix in PREFIXES:
            key = key.removeprefix(prefix)
    return key
