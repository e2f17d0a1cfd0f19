"""What is known of a sparse autoencoder beside its weights."""

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
    """A sparse autoencoder's settings, whatever the layout it was stored in.

    Attributes:
        layout: "prisma", "saelens", "sparsify" or "saev".
        architecture: a transcoder predicts the activations at another place (`out_hook`).
        activation: what is applied to the pre-activations.
        normalisation: what is done to each token before encoding, and undone after decoding.
        d_in: width of the activations.
        d_sae: number of features.
        d_out: width of what is decoded; `d_in` but for transcoders.
        hook: Prisma's name of the place, e.g. "blocks.11.hook_resid_post"; None where the files do not say.
        out_hook: of transcoders, the place that they predict.
        tokens: which tokens the autoencoder was trained on.
        model: name of the Vision Transformer, as stored; None where the files do not say.
        k: of "topk", how many features stay on; of "groupmax", how many groups there are, each with one that stays on.
        centred: whether `b_dec` is subtracted before encoding.
        scaled: whether pre-activations are multiplied by the lengths of the decoder's rows.
        skip: whether a transcoder adds a linear map of its input.
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
