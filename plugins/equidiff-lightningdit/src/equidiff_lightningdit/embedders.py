"""Embeddings of patches, times, labels and positions: what the transformer's blocks are given.

Modules have the names of the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from equidiff_lightningdit.config import TransformerConfig
from equidiff_lightningdit.positions import TIME_FEATURES, rotary_tables, signed_for_rotation, time_features


class PatchEmbed(nn.Module):
    """Embeds each patch as a token, row by row."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        size = config.patch_size
        self.proj = nn.Conv2d(config.in_channels, config.hidden_size, size, stride=size)

    def forward(self, latents: Tensor) -> Tensor:
        """`[batch, channels, side, side]` to tokens `[batch, n, width]`."""
        return self.proj(latents).flatten(2).transpose(1, 2)


class TimeEmbed(nn.Module):
    """Embeds a time; always in the precision of its own weights, even under autocast."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.mlp = nn.Sequential(nn.Linear(TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width))

    @property
    def linears(self) -> list[nn.Linear]:
        """Both of its linear layers."""
        return [layer for layer in self.mlp if isinstance(layer, nn.Linear)]

    def forward(self, time: Tensor) -> Tensor:
        """`[batch]` to `[batch, width]`."""
        with torch.autocast(time.device.type, enabled=False):
            return self.mlp(time_features(time).to(self.linears[0].weight.dtype))


class LabelEmbed(nn.Module):
    """Embeds a class, or no class."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(config.num_classes + 1, config.hidden_size)

    def forward(self, labels: Tensor) -> Tensor:
        """`[batch]` to `[batch, width]`."""
        return self.embedding_table(labels)


class Rotary(nn.Module):
    """Rotary tables that all blocks and heads share."""

    freqs_cos: Tensor
    freqs_sin: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        cosines, sines = rotary_tables(config.grid, config.head_size)
        self.register_buffer("freqs_cos", cosines)
        self.register_buffer("freqs_sin", sines)

    def forward(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines, as `rotate` takes them."""
        return self.freqs_cos.to(dtype), signed_for_rotation(self.freqs_sin).to(dtype)
