"""Readers of the layouts that autoencoders are published in: settings, and tensors under Prisma's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from equidiff.errors import WeightsError
from equidiff_sae.config import Activation, Architecture, Normalisation, SaeConfig, Tokens, join_hook

Tensors = dict[str, Tensor]

NEEDED = {
    "standard": ("W_enc", "b_enc", "W_dec", "b_dec"),
    "gated": ("W_enc", "b_gate", "r_mag", "b_mag", "W_dec", "b_dec"),
    "transcoder": ("W_enc", "b_enc", "W_dec", "b_dec"),
}
MODULE = re.compile(r"(?:^|\.)(?:blocks|layers?|resblocks)\.(\d+)(\.mlp)?$")


class Settings:
    """Settings as a layout stores them; those that affect results must be present.

    Args:
        content: the settings as stored.
        path: file of the settings, for messages.
    """

    def __init__(self, content: Mapping[str, Any], path: Path) -> None:
        self.content = content
        self.path = path

    def need(self, *names: str) -> Any:
        """The first of these settings that is present.

        Raises:
            WeightsError: none of them is present.
        """
        for name in names:
            if name in self.content:
                return self.content[name]
        raise self.wrong(f"The autoencoder's settings do not say its {names[0]}.", None, " or ".join(names))

    def get(self, name: str, default: Any = None) -> Any:
        """A setting that may be absent."""
        return self.content.get(name, default)

    def pick(self, what: str, given: Any, known: Mapping[Any, str]) -> str:
        """Translate a value to the name that this package uses.

        Raises:
            WeightsError: the value is unknown.
        """
        if given not in known:
            known_names = ", ".join(str(key) for key in known if key is not None)
            raise self.wrong(f"The {what} of this autoencoder is not supported.", given, f"one of {known_names}")
        return known[given]

    def wrong(self, problem: str, given: Any, expected: str) -> WeightsError:
        """Make an error about these settings."""
        return WeightsError(
            problem, given=f"{given} in {self.path}" if given is not None else self.path, expected=expected
        )


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


def read_saelens(content: Mapping[str, Any], tensors: Tensors, path: Path) -> tuple[SaeConfig, Tensors]:
    """Read SAELens's layout: cfg.json and sae_weights.safetensors."""
    settings = Settings(content, path)
    known = {"standard": "standard", "gated": "gated", "topk": "standard", "jumprelu": "standard"}
    architecture = settings.pick("architecture", settings.need("architecture"), known)
    kwargs = settings.get("activation_fn_kwargs") or {}
    activation = settings.get("activation_fn") or settings.get("activation_fn_str") or "relu"
    if settings.need("architecture") in ("topk", "jumprelu"):
        activation = settings.need("architecture")
    names = {"relu": "relu", "tanh-relu": "tanh-relu", "topk": "topk", "jumprelu": "jumprelu"}
    normalisation = settings.pick(
        "normalisation",
        settings.need("normalize_activations"),
        # the average norm is folded into the weights when they are saved
        {"none": "none", None: "none", "expected_average_only_in": "none", "layer_norm": "layer_norm",
         "constant_norm_rescale": "constant_norm_rescale"},
    )  # fmt: skip
    d_in = settings.need("d_in")
    config = SaeConfig(
        layout="saelens",
        architecture=cast(Architecture, architecture),
        activation=cast(Activation, settings.pick("activation function", activation, names)),
        normalisation=cast(Normalisation, normalisation),
        d_in=d_in,
        d_sae=settings.need("d_sae"),
        d_out=d_in,
        hook=settings.get("hook_name") or (settings.get("metadata") or {}).get("hook_name"),
        model=settings.get("model_name") or (settings.get("metadata") or {}).get("model_name"),
        k=settings.get("k") or kwargs.get("k"),
        centred=bool(settings.need("apply_b_dec_to_input")),
        scaled=bool(settings.get("rescale_acts_by_decoder_norm", False)),
    )
    return config, tensors


def read_sparsify(content: Mapping[str, Any], tensors: Tensors, path: Path) -> tuple[SaeConfig, Tensors]:
    """Read the layout of EleutherAI's sparsify: cfg.json and sae.safetensors, in a folder named after the module."""
    settings = Settings(content, path)
    features, d_in = tensors["encoder.weight"].shape
    transcode = bool(settings.get("transcode", False))
    names = {"topk": "topk", "groupmax": "groupmax"}
    module = MODULE.search(path.parent.name)
    config = SaeConfig(
        layout="sparsify",
        architecture="transcoder" if transcode else "standard",
        activation=cast(Activation, settings.pick("activation function", settings.get("activation", "topk"), names)),
        normalisation="none",
        d_in=d_in,
        d_sae=features,
        d_out=tensors["W_dec"].shape[1],
        hook=join_hook(int(module[1]), "mlp_out" if module[2] else "resid_post") if module else None,
        k=settings.need("k"),
        centred=not transcode,
        skip="W_skip" in tensors,
    )
    named = {"W_enc": tensors["encoder.weight"].T, "b_enc": tensors["encoder.bias"]}
    return config, named | {name: tensors[name] for name in ("W_dec", "b_dec", "W_skip") if name in tensors}


def read_saev(content: Mapping[str, Any], tensors: Tensors, path: Path) -> tuple[SaeConfig, Tensors]:
    """Read a file of saev, whose first line holds the settings.

    Without a schema number, `b_dec` is subtracted before encoding; the code of later files does not subtract it. The
    scale and the mean that normalised activations in training are not in the file.
    """
    settings = Settings(content, path)
    inner = Settings(settings.get("cfg") or content, path)
    described = inner.get("activation") or {"cls": settings.get("cls", "Relu"), "params": inner.content}
    kind = described.get("cls", "Relu") if isinstance(described, dict) else str(described)
    threshold = tensors.get("activation.threshold")
    names = {"Relu": "relu", "SparseAutoencoderConfig": "relu", "TopK": "topk"}
    if kind == "BatchTopK" and threshold is not None:
        names["BatchTopK"] = "jumprelu"
    activation = settings.pick("activation function", kind, names)
    d_in, features = tensors["W_enc"].shape
    config = SaeConfig(
        layout="saev",
        architecture="standard",
        activation=cast(Activation, activation),
        normalisation="none",
        d_in=d_in,
        d_sae=features,
        d_out=d_in,
        k=described.get("params", {}).get("top_k") if activation == "topk" else None,
        centred="schema" not in content,
    )
    named = {name: tensors[name] for name in NEEDED["standard"] if name in tensors}
    if threshold is not None and activation == "jumprelu":
        named["threshold"] = threshold.reshape(-1).expand(features)
    return config, named


def check(config: SaeConfig, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Compare tensors with settings.

    Raises:
        WeightsError: a tensor is missing, or has another shape than the settings say.
    """
    wide, into, out = config.d_sae, config.d_in, config.d_out
    shapes = {"W_enc": (into, wide), "W_dec": (wide, out), "W_skip": (into, into), "b_dec_out": (out,)}
    shapes["b_dec"] = (into if config.centred else out,)
    shapes |= {name: (wide,) for name in ("b_enc", "b_gate", "r_mag", "b_mag", "threshold")}
    needed = [*NEEDED[config.architecture], *(["threshold"] if config.activation == "jumprelu" else [])]
    needed += ["W_skip"] if config.skip else []
    needed += ["b_dec_out"] if config.architecture == "transcoder" and config.layout == "prisma" else []
    missing = [name for name in needed if name not in tensors]
    if missing:
        raise WeightsError(
            f"The weights lack {', '.join(missing)}.",
            given=f"{', '.join(sorted(tensors)) or 'no tensors'} in {path}",
            expected=f"the tensors of a {config.architecture} autoencoder",
        )
    for name, shape in shapes.items():
        if name in tensors and tuple(tensors[name].shape) != shape:
            raise WeightsError(
                f"The tensor {name} does not fit the settings.",
                given=f"shape {tuple(tensors[name].shape)} in {path}",
                expected=f"shape {shape}: d_in {into}, d_sae {wide}",
            )
    if config.activation in ("topk", "groupmax") and not 1 <= (config.k or 0) <= wide:
        raise WeightsError("The settings do not say how many features stay on.", given=f"k = {config.k}", expected="k")
