"""Autoencoders of overcomplete: a module that was saved whole, or a state dict with settings in config.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equidiff_sae.config import Pursuit, SaeConfig
from equidiff_sae.files import Shell
from equidiff_sae.layouts.settings import Settings, Tensors

# class: its activation function
CLASSES = {
    "SAE": "relu", "TopKSAE": "topk", "RATopKSAE": "topk", "BatchTopKSAE": "jumprelu", "JumpSAE": "jumprelu",
    "RAJumpSAE": "jumprelu", "QSAE": "quantized", "MpSAE": "relu",
}  # fmt: skip
REASONS = {"OMPSAE": "its features are the result of an iterative solver"}
NORMS = {"l2": (2, False), "max_l2": (2, True), "l1": (1, False), "max_l1": (1, True)}


def flatten(module: Shell) -> tuple[dict[str, Any], Tensors]:
    """Settings and tensors of a module that was pickled whole."""
    own = vars(module).items()
    settings: dict[str, Any] = {name: value for name, value in own if isinstance(value, int | float | str | Tensor)}
    settings["class"] = module.kind
    children = module.modules()
    encoder = children.get("encoder")
    if encoder is not None:
        settings["encoder"] = encoder.kind
        settings["blocks"] = len(encoder.modules().get("mlp_blocks", Shell()).modules())
        final = encoder.modules().get("final_block", Shell()).modules()
        settings["norm"] = final["1"].kind if "1" in final else None
        settings["activation"] = encoder.modules().get("final_activation", Shell()).kind
        settings["eps"] = getattr(final.get("1"), "eps", 1e-5)
    dictionary = children.get("dictionary", Shell())
    settings["normalization"] = getattr(vars(dictionary).get("normalization"), "kind", "l2").removeprefix("normalize_")
    settings["delta"] = vars(dictionary).get("delta", 1.0)
    return settings, module.tensors()


def read_overcomplete(content: Mapping[str, Any], tensors: Tensors, path: Path) -> tuple[SaeConfig, Tensors]:
    """Read an autoencoder of overcomplete, as it computes in evaluation mode.

    Raises:
        WeightsError: a setting is missing, or something is not supported.
    """
    settings = Settings(content, path)
    name = settings.need("class")
    if name in REASONS:
        raise settings.refuse(f"overcomplete's {name}", name, REASONS[name])
    activation: Any = settings.pick("class", name, CLASSES)
    dictionary = _dictionary(settings, tensors)
    features, width = dictionary.shape
    named = {"W_dec": dictionary, "b_dec": torch.zeros(width)}
    if name != "MpSAE":
        weight, bias = _encoder(settings, tensors, dictionary)
        named |= {"W_enc": weight.T, "b_enc": bias}
    if name == "QSAE":
        if settings.get("hard"):
            raise settings.refuse("A QSAE with hard=True", name, "its features are constant almost everywhere")
        named["levels"] = tensors["Q"]
    if activation == "jumprelu":
        named["threshold"] = _thresholds(settings, tensors, features)
    config = SaeConfig(
        layout="overcomplete",
        architecture="pursuit" if name == "MpSAE" else "standard",
        activation=activation,
        normalisation="none",
        d_in=named["W_enc"].shape[0] if "W_enc" in named else width,
        d_sae=features,
        d_out=width,
        hook=settings.get("hook_name"),
        model=settings.get("model_name"),
        size=settings.get("image_size"),
        k=settings.need("top_k") if activation == "topk" else None,
        centred=False,
        pursuit=Pursuit(settings.need("k"), positive=False) if name == "MpSAE" else None,
    )
    return config, named


def _encoder(settings: Settings, tensors: Tensors, dictionary: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias of the encoder, with those of its batch normalisation in them."""
    features = len(dictionary)
    if not any(name.startswith("encoder.final_block") for name in tensors):
        if settings.get("encoder", "TieableEncoder") != "TieableEncoder":
            raise _unsupported(settings, settings.get("encoder"))
        return tensors.get("encoder.weight", dictionary), tensors.get("encoder.bias", torch.zeros(features))
    block = "encoder.final_block"
    hidden = [name for name in tensors if name.startswith("encoder.") and not name.startswith(block)]
    if settings.get("encoder", "MLPEncoder") != "MLPEncoder" or hidden or settings.get("blocks", 0):
        raise _unsupported(settings, "hidden layers")
    if settings.get("activation", "ReLU") != "ReLU":
        raise _unsupported(settings, f"output activation {settings.get('activation')}")
    weight, bias = tensors[f"{block}.0.weight"], tensors[f"{block}.0.bias"]
    if f"{block}.1.weight" not in tensors:
        return weight, bias
    if f"{block}.1.running_mean" not in tensors:
        raise _unsupported(settings, "a layer normalisation over all features")
    scale = (tensors[f"{block}.1.running_var"] + settings.get("eps", 1e-5)).rsqrt() * tensors[f"{block}.1.weight"]
    shift = tensors[f"{block}.1.bias"] - tensors[f"{block}.1.running_mean"] * scale
    return weight * scale[:, None], bias * scale + shift


def _unsupported(settings: Settings, given: Any) -> Exception:
    return settings.refuse(
        "This encoder of overcomplete", given, "a feature is read from one linear layer (linear, mlp_bn_1, tied)"
    )


def _thresholds(settings: Settings, tensors: Tensors, features: int) -> Tensor:
    """Values that a feature must exceed; overcomplete's may be equal to them."""
    if "thresholds" in tensors:
        least = tensors["thresholds"].exp()
    else:
        least = torch.as_tensor(settings.need("running_threshold"), dtype=torch.float32).reshape(-1).expand(features)
    return torch.nextafter(least, torch.tensor(-torch.inf))


def _dictionary(settings: Settings, tensors: Tensors) -> Tensor:
    multiplier = tensors.get("dictionary.multiplier", torch.zeros(())).exp()
    if "dictionary._weights" in tensors:
        return _normalised(settings, tensors["dictionary._weights"]) * multiplier
    shares = tensors["dictionary.W"].relu()
    shares = shares / (shares.sum(dim=-1, keepdim=True) + 1e-8)
    relaxation = tensors["dictionary.Relax"]
    bound = (settings.get("delta", 1.0) / relaxation.norm(dim=-1, keepdim=True)).clamp(max=1)
    return (shares @ tensors["dictionary.C"] + relaxation * bound.nan_to_num(1.0)) * multiplier


def _normalised(settings: Settings, weights: Tensor) -> Tensor:
    name = settings.get("normalization", "l2")
    if name == "identity":
        return weights
    settings.pick("normalization of the dictionary", name, {known: known for known in NORMS})
    order, largest = NORMS[name]
    lengths = weights.norm(p=order, dim=1, keepdim=True)
    return weights / lengths.amax() if largest else weights / (lengths + 1e-8)
