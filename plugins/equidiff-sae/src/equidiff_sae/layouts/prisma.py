"""Prisma's layout: config.json and a state dict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from equidiff_sae.config import Activation, Architecture, Normalisation, SaeConfig, Tokens
from equidiff_sae.layouts.settings import Settings, Tensors


def read_prisma(content: Mapping[str, Any], tensors: Tensors, path: Path) -> tuple[SaeConfig, Tensors]:
    """Read Prisma's layout: config.json and a state dict."""
    settings = Settings(content, path)
    stored = settings.pick(
        "architecture", settings.need("architecture"), {"standard": "standard", "vanilla": "standard", "gated": "gated"}
    )
    transcoder = bool(settings.get("is_transcoder", False))
    architecture = "transcoder" if transcoder else stored
    names = {"relu": "relu", "topk": "topk", "tanh-relu": "tanh-relu"}
    activation = settings.pick("activation function", settings.need("activation_fn_str"), names)
    known = ("layer_norm", "constant_norm_rescale")
    normalisation = settings.need("normalize_activations")
    config = SaeConfig(
        layout="prisma",
        architecture=cast(Architecture, architecture),
        activation=cast(Activation, activation),
        normalisation=cast(Normalisation, normalisation if normalisation in known else "none"),
        d_in=settings.need("d_in"),
        d_sae=settings.get("d_sae") or settings.need("d_in") * settings.need("expansion_factor"),
        d_out=settings.need("d_out") if transcoder else settings.need("d_in"),
        hook=settings.get("hook_point") or _prisma_hook(settings, "hook_point_layer", "layer_subtype"),
        out_hook=_prisma_hook(settings, "out_hook_point_layer", "layer_out_subtype") if transcoder else None,
        tokens=_prisma_tokens(settings),
        model=settings.get("model_name"),
        k=settings.need("activation_fn_kwargs").get("k") if activation == "topk" else None,
        skip=transcoder and bool(settings.need("transcoder_with_skip_connection")),
    )
    return config, tensors


def _prisma_hook(settings: Settings, layer: str, site: str) -> str:
    return f"blocks.{settings.need(layer)}.{settings.need(site)}"


def _prisma_tokens(settings: Settings) -> Tokens:
    cls = bool(settings.need("cls_token_only", "cls_token"))
    patches = bool(settings.get("use_patches_only", False))  # files older than this setting: all tokens
    if cls and patches:
        raise settings.wrong(
            "It is ambiguous which tokens the autoencoder was trained on.",
            "cls_token_only and use_patches_only",
            "at most one of the two",
        )
    return "cls" if cls else "patches" if patches else "all"
