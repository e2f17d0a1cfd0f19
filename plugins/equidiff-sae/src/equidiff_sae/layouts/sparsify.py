"""The layout of EleutherAI's sparsify: cfg.json and sae.safetensors, in a folder named after the module."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from equidiff_sae.config import Activation, SaeConfig
from equidiff_sae.layouts.settings import Settings, Tensors

SEED = re.compile(r"seed\d+")
BLOCK = re.compile(r"(?:^|\.)(?:blocks|layers?|resblocks)\.(\d+)(?:\.(.+))?$")


def read_sparsify(content: Mapping[str, Any], tensors: Tensors, path: Path) -> tuple[SaeConfig, Tensors]:
    """Read sparsify's layout. A transcoder reads the input of its module, and predicts the output."""
    settings = Settings(content, path)
    features, d_in = tensors["encoder.weight"].shape
    transcode = bool(settings.get("transcode", False))
    names = {"topk": "topk", "groupmax": "groupmax"}
    activation = settings.pick("activation function", settings.get("activation", "topk"), names)
    read, predicted = _hooks(path, transcode)
    config = SaeConfig(
        layout="sparsify",
        architecture="transcoder" if transcode else "standard",
        activation=cast(Activation, activation),
        normalisation="none",
        d_in=d_in,
        d_sae=features,
        d_out=tensors["W_dec"].shape[1] if "W_dec" in tensors else d_in,
        hook=read,
        out_hook=predicted,
        k=settings.need("k"),
        centred=not transcode,
        skip="W_skip" in tensors,
    )
    named = {"W_enc": tensors["encoder.weight"].T, "b_enc": tensors["encoder.bias"]}
    return config, named | {name: tensors[name] for name in ("W_dec", "b_dec", "W_skip") if name in tensors}


def _hooks(path: Path, transcode: bool) -> tuple[str | None, str | None]:
    """Hooks that are read and, by a transcoder, predicted."""
    folder = path.parent.parent if SEED.fullmatch(path.parent.name) else path.parent
    match = BLOCK.search(folder.name)
    if match is None:
        return None, None
    block = f"blocks.{match[1]}"
    if match[2] is None:
        names = (f"{block}.hook_resid_pre", f"{block}.hook_resid_post")
    elif match[2] == "mlp":
        names = (f"{block}.mlp.input", f"{block}.hook_mlp_out")
    else:
        names = (f"{folder.name}.input", folder.name)  # another module, by its own name
    return names if transcode else (names[1], None)
