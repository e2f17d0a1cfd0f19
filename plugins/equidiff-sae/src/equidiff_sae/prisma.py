"""The same transformer as Prisma's HookedViT (the package vit-prisma, the extra `equidiff-sae[prisma]`)."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor, nn

from equidiff.errors import PluginError, UnsupportedError
from equidiff.networks import Network


@final
class Hooked(nn.Module):
    """HookedViT with the names of a timm transformer that hooks need.

    Args:
        model: HookedViT.
        prefix: number of tokens before the patches.
    """

    def __init__(self, model: Any, prefix: int) -> None:
        super().__init__()
        self.num_prefix_tokens = prefix
        self.cls_token = model.cls_token
        self.patch_embed = model.embed
        self.norm_pre = model.hook_ln_pre if hasattr(model, "hook_ln_pre") else nn.Identity()
        self.blocks = model.blocks
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Run HookedViT on prepared images; only its hooks matter."""
        return self.model(inputs)


def hooked(network: Network) -> Network:
    """Build a network that runs Prisma's HookedViT with the weights of a timm transformer.

    Raises:
        PluginError: vit-prisma is not installed.
        UnsupportedError: HookedViT has no counterpart of this transformer.
    """
    source: Any = network.module
    _check(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its imports emit deprecation warnings
            from vit_prisma.configs.HookedViTConfig import HookedViTConfig
            from vit_prisma.models.base_vit import HookedViT
    except ImportError as error:
        raise PluginError(
            f"Prisma's transformer cannot be imported: {error}",
            given="through=prisma",
            expected="the package vit-prisma",
            hint="pip install 'equidiff-sae[prisma]'",
        ) from error
    model = HookedViT(HookedViTConfig(**_settings(source)))
    weights = _converted(source, model.cfg.n_heads)
    missing = model.state_dict().keys() - weights.keys()
    # the head is never reached, and the model makes its own masks
    if any(not name.startswith("head.") and name.rpartition(".")[2] not in ("mask", "IGNORE") for name in missing):
        raise UnsupportedError(f"Prisma's transformer has other weights: {', '.join(sorted(missing))}.")
    model.load_state_dict(weights, strict=False)
    module = Hooked(model, source.num_prefix_tokens).eval().requires_grad_(False).to(network.device)
    return replace(network, module=module)


def _check(source: Any) -> None:
    """Refuse what HookedViT lacks: it has one class token with a position, no LayerScale and no qk-norm."""
    from timm.models.vision_transformer import Block, VisionTransformer

    if not isinstance(source, VisionTransformer) or not isinstance(source.blocks[0], Block):
        raise UnsupportedError(
            "Prisma's HookedViT has no counterpart of this network.",
            given=f"through=prisma for {type(source).__name__}",
            expected="a VisionTransformer of timm",
            hint="through=timm",
        )
    block: Any = source.blocks[0]
    scaled = [name for name in ("ls1", "ls2") if not isinstance(getattr(block, name, nn.Identity()), nn.Identity)]
    plain = not scaled and isinstance(getattr(block.attn, "q_norm", nn.Identity()), nn.Identity)
    if not plain or source.num_prefix_tokens != 1 or getattr(source, "no_embed_class", False):
        raise UnsupportedError(
            "Prisma's HookedViT has no counterpart of this transformer.",
            given=f"{type(source).__name__} with {', '.join(scaled) or f'{source.num_prefix_tokens} prefix tokens'}",
            expected="one class token, plain blocks",
            hint="through=timm",
        )


def _settings(source: Any) -> dict[str, Any]:
    block, patches = source.blocks[0], source.patch_embed
    return {
        "n_layers": len(source.blocks),
        "d_model": source.embed_dim,
        "d_head": block.attn.head_dim,
        "d_mlp": block.mlp.fc1.out_features,
        "n_heads": block.attn.num_heads,
        "model_name": "timm",
        "activation_name": "gelu",
        "eps": block.norm1.eps,
        "layer_norm_pre": not isinstance(source.norm_pre, nn.Identity),
        "n_channels": patches.proj.in_channels,
        "patch_size": patches.patch_size[0],
        "image_size": patches.img_size[0],
    }


def _converted(source: Any, heads: int) -> dict[str, Tensor]:
    """Rename timm's weights as Prisma does: attention by head, matrices that multiply from the right."""
    embedding = source.patch_embed.proj
    bias = torch.zeros(source.embed_dim) if embedding.bias is None else embedding.bias
    weights = {"cls_token": source.cls_token, "pos_embed.W_pos": source.pos_embed[0]}
    weights |= {"embed.proj.weight": embedding.weight, "embed.proj.bias": bias}
    norms = {"ln_final": source.norm}
    if not isinstance(source.norm_pre, nn.Identity):
        norms["ln_pre"] = source.norm_pre
    for index, block in enumerate(source.blocks):
        name = f"blocks.{index}"
        norms |= {f"{name}.ln1": block.norm1, f"{name}.ln2": block.norm2}
        matrices = block.attn.qkv.weight.unflatten(0, (3, heads, -1)).transpose(2, 3)
        biases = block.attn.qkv.bias.unflatten(0, (3, heads, -1))
        for letter, matrix, offset in zip("QKV", matrices, biases, strict=True):
            weights |= {f"{name}.attn.W_{letter}": matrix, f"{name}.attn.b_{letter}": offset}
        weights[f"{name}.attn.W_O"] = block.attn.proj.weight.T.unflatten(0, (heads, -1))
        weights[f"{name}.attn.b_O"] = block.attn.proj.bias
        for end, linear in (("in", block.mlp.fc1), ("out", block.mlp.fc2)):
            weights |= {f"{name}.mlp.W_{end}": linear.weight.T, f"{name}.mlp.b_{end}": linear.bias}
    for name, norm in norms.items():
        weights |= {f"{name}.w": norm.weight, f"{name}.b": norm.bias}
    return weights
