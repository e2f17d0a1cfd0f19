"""The LightningDiT network: a transformer on latent tokens that predicts the velocity of a flow.

Modules have the names of the published checkpoints, which therefore load strictly.

References:
    Yao, Yang, Wang (2025), "Reconstruction vs. generation: taming optimization dilemma in latent diffusion models".
        https://arxiv.org/abs/2501.01423
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from equidiff_lightningdit.config import TransformerConfig
from equidiff_lightningdit.embedders import LabelEmbed, PatchEmbed, Rotary, TimeEmbed
from equidiff_lightningdit.positions import rotate, sinusoidal_grid

NORM_EPS = 1e-6
HEAD_NORM_EPS = 1e-5  # of qk-norm's LayerNorm; its RMSNorm uses NORM_EPS


class RMSNorm(nn.Module):
    """Root-mean-square norm with a learned weight; computed in float32 or wider, given in the dtype of the features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, features: Tensor) -> Tensor:
        """Normalise the last axis."""
        # the kernel itself sums in float32, whatever comes in
        return F.rms_norm(features, features.shape[-1:], self.weight.to(features.dtype), NORM_EPS)


def _norm(config: TransformerConfig) -> nn.Module:
    width = config.hidden_size
    return RMSNorm(width) if config.rmsnorm else nn.LayerNorm(width, NORM_EPS, elementwise_affine=False)


def _head_norm(config: TransformerConfig) -> nn.Module:
    if config.qk_norm is None:
        return nn.Identity()
    width = config.head_size
    return RMSNorm(width) if config.qk_norm == "rms" else nn.LayerNorm(width, HEAD_NORM_EPS)


class Attention(nn.Module):
    """Softmax attention over all tokens."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.num_heads
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.q_norm = _head_norm(config)
        self.k_norm = _head_norm(config)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, tokens: Tensor, tables: tuple[Tensor, Tensor] | None) -> Tensor:
        """Mix tokens `[batch, n, width]`; `tables` rotate queries and keys by their positions."""
        batch, count, width = tokens.shape
        heads = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        query, key = self.q_norm(query), self.k_norm(key)
        if tables is not None:
            query, key = rotate(query, *tables), rotate(key, *tables)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, width))


class SwiGLU(nn.Module):
    """Gated feed-forward network; the first half of `w12` is the gate."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.w12 = nn.Linear(config.hidden_size, 2 * config.mlp_size)
        self.w3 = nn.Linear(config.mlp_size, config.hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[batch, n, width]` to the same shape."""
        gate, value = self.w12(tokens).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class GELUNet(nn.Module):
    """Feed-forward network with the tanh approximation of GELU."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.mlp_size)
        self.fc2 = nn.Linear(config.mlp_size, config.hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[batch, n, width]` to the same shape."""
        return self.fc2(F.gelu(self.fc1(tokens), approximate="tanh"))


def _modulation(config: TransformerConfig, parts: int) -> nn.Sequential:
    return nn.Sequential(nn.SiLU(), nn.Linear(config.hidden_size, parts * config.hidden_size))


def _modulate(tokens: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
    return tokens * (1 + scale) if shift is None else torch.addcmul(shift, tokens, 1 + scale)


class Block(nn.Module):
    """Attention and feed-forward network, each scaled, shifted and gated by the condition."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.shift = config.shift
        self.norm1 = _norm(config)
        self.attn = Attention(config)
        self.norm2 = _norm(config)
        self.mlp = SwiGLU(config) if config.swiglu else GELUNet(config)
        self.adaLN_modulation = _modulation(config, 6 if config.shift else 4)

    def forward(self, tokens: Tensor, condition: Tensor, tables: tuple[Tensor, Tensor] | None) -> Tensor:
        """Update tokens `[batch, n, width]` under a condition `[batch, width]`."""
        parts = self.adaLN_modulation(condition)[:, None]
        if self.shift:
            shift1, scale1, gate1, shift2, scale2, gate2 = parts.chunk(6, dim=-1)
        else:
            (scale1, gate1, scale2, gate2), shift1, shift2 = parts.chunk(4, dim=-1), None, None
        mixed = self.attn(_modulate(self.norm1(tokens), scale1, shift1), tables)
        tokens = torch.addcmul(tokens, gate1, mixed)
        return torch.addcmul(tokens, gate2, self.mlp(_modulate(self.norm2(tokens), scale2, shift2)))


class FinalLayer(nn.Module):
    """Maps tokens to the values of their patches."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm_final = _norm(config)
        self.linear = nn.Linear(config.hidden_size, config.patch_size**2 * config.out_channels)
        self.adaLN_modulation = _modulation(config, 2)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """`[batch, n, width]` to `[batch, n, patch^2 * channels]`."""
        shift, scale = self.adaLN_modulation(condition)[:, None].chunk(2, dim=-1)
        return self.linear(_modulate(self.norm_final(tokens), scale, shift))


class LightningDiT(nn.Module):
    """Predicts the velocity `data - noise` at `time * data + (1 - time) * noise`.

    With an embedder of a second time, as FACM has it, the mean velocity up to that time.

    A new network is initialised as published for training: it predicts zero. Keep it in evaluation mode for
    sampling. It has no dropout of labels; training scripts drop them.

    Args:
        config: sizes and flags.

    Attributes:
        config: the same.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.x_embedder = PatchEmbed(config)
        self.t_embedder = TimeEmbed(config)
        self.r_embedder = TimeEmbed(config) if config.auxiliary_time else None
        self.y_embedder = LabelEmbed(config)
        # stored with the weights: a checkpoint's values may differ from the formula, and take precedence
        self.pos_embed = nn.Parameter(sinusoidal_grid(config.grid, config.hidden_size)[None], requires_grad=False)
        self.feat_rope = Rotary(config) if config.rope else None
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.depth)])
        self.final_layer = FinalLayer(config)
        self.apply(_initialise)
        _initialise_embeddings(self)

    @property
    def null_label(self) -> int:
        """The label of no class: the last row of the table."""
        return self.config.num_classes

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of its matrix products, and of all that lies between them."""
        return self.x_embedder.proj.weight.dtype

    def narrow(self, dtype: torch.dtype) -> None:
        """Convert the weights, but those that embed time, class and position: they are small, and added up once."""
        for name, module in self.named_modules():
            embeds_time = name.startswith(("t_embedder", "r_embedder"))
            if isinstance(module, nn.Linear | nn.Conv2d | nn.LayerNorm | RMSNorm) and not embeds_time:
                module.to(dtype)

    def forward(
        self,
        latents: Float[Tensor, "batch channels side side"],
        time: Float[Tensor, " batch"],
        labels: Int[Tensor, " batch"],
        end: Float[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch channels side side"]:
        """Predict the velocity.

        Args:
            latents: states of the flow, `[batch, channels, side, side]`, of the network's size.
            time: in [0, 1]; 0 is pure noise, 1 is data.
            labels: class indices in 0..num_classes; the last is the null label.
            end: time up to which the velocity is averaged, for networks that embed it; by default `time` itself.

        Returns:
            The velocity, of the latents' shape, in the network's dtype.
        """
        dtype = self.dtype
        # converted once: one wider operand would turn everything after it as wide, at several times the memory traffic
        tables = None if self.feat_rope is None else self.feat_rope(dtype)
        tokens = self.x_embedder(latents.to(dtype)) + self.pos_embed.to(dtype)
        condition = self.t_embedder(time) + self.y_embedder(labels)
        if self.r_embedder is not None:
            condition = condition + self.r_embedder(time if end is None else end)
        condition = condition.to(dtype)
        for block in self.blocks:
            tokens = block(tokens, condition, tables)
        return self._unpatchify(self.final_layer(tokens, condition))

    def _unpatchify(self, patches: Tensor) -> Tensor:
        """`[batch, n, patch^2 * out_channels]`, channels last within a patch, to `[batch, channels, side, side]`."""
        grid, size = self.config.grid, self.config.patch_size
        patches = patches.view(len(patches), grid, grid, size, size, self.config.out_channels)
        image = patches.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), -1, grid * size, grid * size)
        return image[:, : self.config.in_channels]  # with learn_sigma, the rest are unused variances


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight.view(len(module.weight), -1))
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _initialise_embeddings(network: LightningDiT) -> None:
    for embedding in (network.y_embedder.embedding_table, *network.t_embedder.linears):
        nn.init.normal_(embedding.weight, std=0.02)
    if network.r_embedder is not None:
        first, last = network.r_embedder.linears
        nn.init.normal_(first.weight, std=0.02)
        nn.init.zeros_(last.weight)
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) and ("adaLN_modulation" in name or name == "final_layer.linear"):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
