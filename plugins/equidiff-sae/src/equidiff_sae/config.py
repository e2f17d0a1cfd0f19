"""Settings of a sparse autoencoder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Architecture = Literal["standard", "gated", "transcoder"]
Activation = Literal["relu", "tanh-relu", "topk", "jumprelu", "groupmax"]
Normalisation = Literal["none", "layer_norm", "constant_norm_rescale"]
Tokens = Literal["cls", "patches", "all"]

BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


@dataclass(frozen=True)
class SaeConfig:
    """Settings of a sparse autoencoder, independent of the layout of its files.

    Attributes:
        layout: "prisma", "saelens", "sparsify" or "saev".
        architecture: a transcoder predicts the activations at another hook (`out_hook`).
        activation: activation function of the pre-activations.
        normalisation: normalisation of each token before encoding, undone after decoding.
        d_in: width of the activations.
        d_sae: number of features.
        d_out: width of the decoded activations; `d_in` except for transcoders.
        hook: Prisma's hook name, e.g. "blocks.11.hook_resid_post"; None if the files do not say.
        out_hook: hook of the activations that a transcoder predicts.
        tokens: tokens that the autoencoder was trained on.
        model: name of the Vision Transformer, as stored; None if the files do not say.
        k: number of active features ("topk"), or of groups with one active feature each ("groupmax").
        centred: `b_dec` is subtracted before encoding.
        scaled: pre-activations are multiplied by the norms of the decoder's rows.
        skip: a transcoder adds a linear map of its input.
    """

    layout: str
    architecture: Architecture
    activation: Activation
    normalisation: Normalisation
    d_in: int
    d_sae: int
    d_out: int
    hook: str | None = None
    out_hook: str | None = None
    tokens: Tokens = "all"
    model: str | None = None
    k: int | None = None
    centred: bool = True
    scaled: bool = False
    skip: bool = False


def split_hook(hook: str) -> tuple[int, str] | None:
    """Layer and site of a hook name: "blocks.9.hook_mlp_out" is `(9, "mlp_out")`; None for other names."""
    match = BLOCK.fullmatch(hook)
    return (int(match[1]), match[2].removeprefix("hook_")) if match else None


def join_hook(layer: int, site: str) -> str:
    """The hook name of a layer and a site, e.g. "blocks.9.hook_mlp_out"."""
    return f"blocks.{layer}.{site if '.' in site else f'hook_{site}'}"
