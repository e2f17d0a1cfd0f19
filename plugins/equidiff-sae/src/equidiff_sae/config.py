"""Settings of a sparse autoencoder."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Architecture = Literal["standard", "gated", "transcoder", "pursuit"]
Activation = Literal["relu", "tanh-relu", "topk", "signed-topk", "abstopk", "jumprelu", "groupmax", "quantized"]
Normalisation = Literal["none", "layer_norm", "constant_norm_rescale", "constant", "whitening"]
Tokens = Literal["cls", "patches", "all"]

SIGNED = ("signed-topk", "abstopk")  # activation functions whose features may be negative
RIVALS = ("topk", "signed-topk", "abstopk", "groupmax")  # those in which features compete
BLOCK = re.compile(r"blocks\.(-?\d+)\.(.+)")


STRICT = ConfigDict(strict=True)  # settings come from files: a number is a number
Size = Annotated[int, Field(ge=0, lt=2**31)]
Number = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, config=STRICT)
class Pursuit:
    """Matching pursuit: features are chosen one after the other, each the one nearest to what is left.

    Attributes:
        steps: features to choose at most.
        threshold: length of the rest below which it ends; 0 to go on.
        settled: it ends, too, where a step adds no new feature.
        positive: a step never subtracts a feature.
    """

    steps: Size
    threshold: Number = 0.0
    settled: bool = False
    positive: bool = True


@dataclass(frozen=True, config=STRICT)
class SaeConfig:
    """Settings of a sparse autoencoder, independent of the layout of its files.

    Attributes:
        layout: "prisma", "saelens", "sparsify", "saev", "dictionary_learning" or "overcomplete".
        architecture: a transcoder predicts the activations at another hook (`out_hook`).
        activation: activation function of the pre-activations.
        normalisation: normalisation of each token before encoding, undone after decoding.
        d_in: width of the activations.
        d_sae: number of features.
        d_out: width of the decoded activations; `d_in` except for transcoders.
        hook: hook name, e.g. "blocks.11.hook_resid_post", or the dotted name of a module; None if the files do not say.
        out_hook: hook of the activations that a transcoder predicts.
        tokens: tokens that the autoencoder was trained on.
        model: name of the network, as stored; None if the files do not say.
        size: height and width of the images that it was trained on, in pixels; None if the files do not say.
        k: number of active features ("topk"), or of groups with one active feature each ("groupmax").
        factor: of "constant" normalisation.
        centred: `b_dec` is subtracted before encoding.
        scaled: pre-activations are multiplied by the norms of the decoder's rows.
        skip: a transcoder adds a linear map of its input.
        heads: activations come with an axis of attention heads, which is flattened.
        raw_output: the normalisation is not undone after decoding.
        pursuit: settings of matching pursuit.
        doubt: a sentence about what the files leave open and may change the values.
    """

    layout: str
    architecture: Architecture
    activation: Activation
    normalisation: Normalisation
    d_in: Size
    d_sae: Size
    d_out: Size
    hook: str | None = None
    out_hook: str | None = None
    tokens: Tokens = "all"
    model: str | None = None
    size: Size | None = None
    k: Size | None = None
    factor: Number = 1.0
    centred: bool = True
    scaled: bool = False
    skip: bool = False
    heads: bool = False
    raw_output: bool = False
    pursuit: Pursuit | None = None
    doubt: str | None = None

    @property
    def is_signed(self) -> bool:
        """True where features may be negative."""
        return self.activation in SIGNED or (self.pursuit is not None and not self.pursuit.positive)


def split_hook(hook: str) -> tuple[int, str] | None:
    """Layer and site of a hook name: "blocks.9.hook_mlp_out" is `(9, "mlp_out")`; None for other names."""
    match = BLOCK.fullmatch(hook)
    return (int(match[1]), match[2].removeprefix("hook_")) if match else None


def join_hook(layer: int, site: str) -> str:
    """The hook name of a layer and a site, e.g. "blocks.9.hook_mlp_out"."""
    return f"blocks.{layer}.{site if '.' in site else f'hook_{site}'}"
