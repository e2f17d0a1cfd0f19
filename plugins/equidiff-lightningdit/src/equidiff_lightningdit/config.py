"""Sizes and flags of the network, read from a checkpoint's keys and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Literal

from torch import Tensor

from equidiff.errors import WeightsError

# blocks, width, heads: the published family, for checkpoints whose keys do not imply the number of heads
FAMILY = {
    "S": (12, 384, 6),
    "B": (12, 768, 12),
    "L": (24, 1024, 16),
    "XL": (28, 1152, 16),
    "1p0B": (24, 1536, 24),
    "1p6B": (28, 1792, 28),
}


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes and flags of a LightningDiT.

    Attributes:
        input_size: side of the latent, in positions.
        patch_size: side of a token's patch.
        in_channels: channels of the latent.
        hidden_size: width of a token, a multiple of 4.
        depth: number of blocks.
        num_heads: attention heads.
        num_classes: labels, without the null label.
        mlp_size: inner width of the feed-forward network.
        qk_norm: norm of queries and keys.
        swiglu: gated feed-forward network, else GELU.
        rope: rotary position embedding of queries and keys.
        rmsnorm: RMSNorm, else LayerNorm without weights.
        shift: the condition also shifts the blocks (the published flag wo_shift turns it off).
        learn_sigma: the last layer also outputs variances, which are dropped.
        auxiliary_time: embeds a second time, up to which the velocity is averaged, as FACM does.
    """

    input_size: int
    patch_size: int
    in_channels: int
    hidden_size: int
    depth: int
    num_heads: int
    num_classes: int
    mlp_size: int
    qk_norm: Literal["rms", "layer"] | None = None
    swiglu: bool = True
    rope: bool = True
    rmsnorm: bool = True
    shift: bool = True
    learn_sigma: bool = False
    auxiliary_time: bool = False

    @property
    def grid(self) -> int:
        """Tokens along each side."""
        return self.input_size // self.patch_size

    @property
    def head_size(self) -> int:
        """Width of one head."""
        return self.hidden_size // self.num_heads

    @property
    def out_channels(self) -> int:
        """Output channels of the last layer."""
        return self.in_channels * (2 if self.learn_sigma else 1)

    @classmethod
    def of(
        cls, name: str, *, input_size: int = 16, in_channels: int = 32, num_classes: int = 1000
    ) -> TransformerConfig:
        """A size of the published family with the flags of the released checkpoints.

        Args:
            name: such as "XL/1" or "B/2".
            input_size: side of the latent.
            in_channels: channels of the latent.
            num_classes: labels, without the null label.

        Raises:
            KeyError: there is no such size.
        """
        family, _, patch = name.partition("/")
        depth, width, heads = FAMILY[family]
        return cls(input_size, int(patch), in_channels, width, depth, heads, num_classes, swiglu_size(width))

    @classmethod
    def from_weights(cls, weights: Mapping[str, Tensor], heads: int | None = None) -> TransformerConfig:
        """Read the configuration from a state dict.

        Args:
            weights: a complete state dict.
            heads: attention heads; needed only without rotary tables and qk-norm.

        Raises:
            WeightsError: the keys are not those of a LightningDiT, or do not imply the number of heads.
        """
        try:
            return _read(weights, heads)
        except KeyError as error:
            raise WeightsError(
                f"This is not a LightningDiT: {error.args[0]} is missing.",
                given=f"{len(weights)} tensors, such as {next(iter(weights), 'none')}",
                expected="a transformer's checkpoint, with x_embedder, blocks and final_layer",
            ) from None


def swiglu_size(width: int) -> int:
    """Inner width of the gated network: two thirds of four times the width, truncated."""
    return int(2 / 3 * int(4 * width))


def _read(weights: Mapping[str, Tensor], heads: int | None) -> TransformerConfig:
    width, channels, patch, _ = weights["x_embedder.proj.weight"].shape
    depth = 1 + max(int(key.split(".")[1]) for key in (*weights, "blocks.-1.") if key.startswith("blocks."))
    swiglu = "blocks.0.mlp.w12.weight" in weights
    rope = "feat_rope.freqs_cos" in weights
    normed = "blocks.0.attn.q_norm.weight" in weights
    head_size = None
    if rope:
        head_size = weights["feat_rope.freqs_cos"].shape[1]
    elif normed:
        head_size = weights["blocks.0.attn.q_norm.weight"].shape[0]
    return TransformerConfig(
        input_size=patch * isqrt(weights["pos_embed"].shape[1]),
        patch_size=patch,
        in_channels=channels,
        hidden_size=width,
        depth=depth,
        num_heads=width // head_size if head_size else heads or _published_heads(depth, width),
        num_classes=len(weights["y_embedder.embedding_table.weight"]) - 1,
        mlp_size=weights["blocks.0.mlp.w3.weight"].shape[1] if swiglu else len(weights["blocks.0.mlp.fc1.weight"]),
        qk_norm=("layer" if "blocks.0.attn.q_norm.bias" in weights else "rms") if normed else None,
        swiglu=swiglu,
        rope=rope,
        rmsnorm="blocks.0.norm1.weight" in weights,
        shift=len(weights["blocks.0.adaLN_modulation.1.weight"]) == 6 * width,
        learn_sigma=len(weights["final_layer.linear.weight"]) == 2 * patch**2 * channels,
        auxiliary_time="r_embedder.mlp.0.weight" in weights,
    )


def _published_heads(depth: int, width: int) -> int:
    for blocks, size, heads in FAMILY.values():
        if (blocks, size) == (depth, width):
            return heads
    raise WeightsError(
        "The checkpoint does not imply its number of attention heads: it has neither rotary tables nor qk-norm.",
        given=f"{depth} blocks of width {width}",
        expected="the number of heads",
        hint="load_transformer(path, heads=...); on the command line, heads=...",
    )
