"""The layout of dictionary_learning: ae.pt and config.json, which names the class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from equidiff_sae.config import SaeConfig, join_hook
from equidiff_sae.layouts.settings import Settings, Tensors

# class: its activation function, and whether the bias is subtracted before encoding
CLASSES: dict[str, tuple[Any, bool]] = {
    "AutoEncoder": ("relu", True),
    "AutoEncoderNew": ("relu", False),
    "AutoEncoderTopK": ("topk", True),
    "BatchTopKSAE": ("jumprelu", True),
    "MatryoshkaBatchTopKSAE": ("jumprelu", True),
    "JumpReluAutoEncoder": ("jumprelu", False),
    "GatedAutoEncoder": ("relu", True),
}
NAMES = {
    "encoder.bias": "b_enc", "bias": "b_dec", "decoder.bias": "b_dec", "decoder_bias": "b_dec",
    "gate_bias": "b_gate", "mag_bias": "b_mag",
    **{name: name for name in ("W_enc", "b_enc", "W_dec", "b_dec", "r_mag", "threshold")},
}  # fmt: skip
SITE = re.compile(r"(resid_pre|resid_mid|resid_post|attn_out|mlp_out)(?!\w*in)")


def read_dictionary_learning(content: Mapping[str, Any], tensors: Tensors, path: Path) -> tuple[SaeConfig, Tensors]:
    """Read what dictionary_learning's `load_dictionary` reads.

    Raises:
        WeightsError: the settings do not name the class, or it is not supported.
    """
    trainer = Settings(content.get("trainer") or {}, path)
    name = trainer.pick("class", trainer.need("dict_class"), {known: known for known in CLASSES})
    activation, centred = CLASSES[name]
    named = {NAMES[key]: value for key, value in tensors.items() if key in NAMES}
    for ours, theirs in (("W_enc", "encoder.weight"), ("W_dec", "decoder.weight")):
        if theirs in tensors:
            named[ours] = tensors[theirs].T
    d_in, features = named["W_enc"].shape if "W_enc" in named else (0, 0)
    if activation == "jumprelu" and "threshold" in named:
        named["threshold"] = named["threshold"].reshape(-1).expand(features)
    elif activation != "jumprelu":
        named.pop("threshold", None)  # an alternative that it does not use by default
    config = SaeConfig(
        layout="dictionary_learning",
        architecture="gated" if name == "GatedAutoEncoder" else "standard",
        activation=activation,
        normalisation="none",
        d_in=d_in,
        d_sae=features,
        d_out=d_in,
        hook=_hook(trainer, content.get("buffer") or {}),
        model=trainer.get("lm_name"),
        k=trainer.get("k") if activation == "topk" else None,
        centred=centred,
        # loading it makes the decoder's columns as long as 1, and the features as much larger
        scaled=name == "AutoEncoder",
    )
    if "b_dec" not in named:
        named["b_dec"] = torch.zeros(d_in)
    return config, named


def _hook(trainer: Settings, buffer: Mapping[str, Any]) -> str | None:
    layer, module = trainer.get("layer"), str(trainer.get("submodule_name") or "")
    site = SITE.match(module)
    known = isinstance(layer, int) and layer >= 0 and site is not None and buffer.get("io", "out") == "out"
    return join_hook(layer, site[1]) if known and site is not None and isinstance(layer, int) else None
