"""Files of saev, whose first line holds the settings; a run of it has more settings and links beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from equidiff_sae.config import Activation, SaeConfig, Tokens, join_hook
from equidiff_sae.files import read_json
from equidiff_sae.layouts.check import NEEDED
from equidiff_sae.layouts.settings import Settings, Tensors

SCHEMAS = (1, 2, 3, 4, 5)
TOKENS = {"cls": "cls", "special": "cls", "patches": "patches", "image": "patches", "content": "patches", "all": "all"}
PATCH_SIZES = {"dinov2": 14, "dinov3": 16, "siglip": 16}
FOLD = "if so, fold them into W_enc and b_enc"


@dataclass(frozen=True)
class Training:
    """Settings of the run that trained the autoencoder, as far as they lie beside it."""

    layer: int | None = None
    tokens: str | None = None
    scaled: bool | None = None
    model: str | None = None
    size: int | None = None


def read_saev(content: Mapping[str, Any], tensors: Tensors, path: Path) -> tuple[SaeConfig, Tensors]:
    """Read a file of saev.

    Without a schema number, `b_dec` is subtracted before encoding; the code of later files does not subtract it. The
    top-k of saev keeps negative values. Its batch top-k has a threshold that is stored; files before that keep the k
    largest values of a token.

    Raises:
        WeightsError: the schema or the activation function is unknown, or the activations were scaled by values that
            saev does not store.
    """
    settings = Settings(content, path)
    schema = content.get("schema")
    if schema is not None and schema not in SCHEMAS:
        raise settings.refuse(f"Schema {schema} of saev", schema, f"known are {SCHEMAS[0]} to {SCHEMAS[-1]}")
    inner = Settings(settings.get("cfg") or content, path)
    kind, params = _described(settings, inner)
    threshold = tensors.get("activation.threshold")
    names = {"Relu": "relu", "TopK": "signed-topk", "BatchTopK": "signed-topk" if threshold is None else "jumprelu"}
    activation = settings.pick("activation function", kind, names)
    d_in, features = tensors["W_enc"].shape
    training = _training(path)
    if training.scaled:
        raise settings.refuse(
            "An autoencoder of centred and scaled activations", "scale_mean or scale_norm",
            "saev does not store their mean and scale; fold them into W_enc and b_enc",
        )  # fmt: skip
    config = SaeConfig(
        layout="saev",
        architecture="standard",
        activation=cast(Activation, activation),
        normalisation="none",
        d_in=d_in,
        d_sae=features,
        d_out=d_in,
        hook=None if training.layer is None else join_hook(training.layer, "resid_post"),
        tokens=cast(Tokens, settings.pick("kind of tokens", training.tokens, {**TOKENS, None: "all"})),
        model=training.model,
        size=training.size,
        k=min(params.get("top_k", 32), features) if activation == "signed-topk" else None,
        centred=schema is None,
        doubt=_doubt() if schema is None and training.scaled is None else None,
    )
    named = {name: tensors[name] for name in NEEDED["standard"] if name in tensors}
    if threshold is not None and activation == "jumprelu":
        named["threshold"] = threshold.reshape(-1).expand(features)
    return config, named


def _doubt() -> str:
    return (
        "saev 0.1 centred and scaled activations before training unless told otherwise, and does not store these "
        f"values: {FOLD}."
    )


def _described(settings: Settings, inner: Settings) -> tuple[str, Mapping[str, Any]]:
    """Class and parameters of the activation function."""
    stored = inner.get("activation")
    if isinstance(stored, Mapping):
        # files of before the classes have names hold their key
        keys = {"relu": "Relu", "top-k": "TopK", "batch-top-k": "BatchTopK"}
        kind = stored.get("cls") or keys.get(stored.get("key") or stored.get("kind") or "", "unknown")
        return kind, stored.get("params", stored)
    kind = settings.get("cls", "Relu")
    return ("Relu" if kind == "SparseAutoencoderConfig" else kind), inner.content


def _training(path: Path) -> Training:
    """Settings of the training in saev's `checkpoint/config.json`, and of its images in `links/train-shards`."""
    beside = path.with_name("config.json")
    if not beside.exists():
        return Training()
    content = read_json(beside)
    data = content.get("train_data") or content.get("data") or {}
    layer, tokens = data.get("layer"), data.get("tokens", data.get("patches"))
    metadata = path.parent.parent / "links" / "train-shards" / "metadata.json"
    shards = read_json(metadata) if metadata.exists() else {}
    return Training(
        layer=layer if isinstance(layer, int) else None,
        tokens=tokens,
        scaled=bool(data["scale_mean"] or data.get("scale_norm")) if "scale_mean" in data else None,
        model=f"{shards['family']}/{shards['ckpt']}" if "family" in shards else None,
        size=_size(shards),
    )


def _size(shards: Mapping[str, Any]) -> int | None:
    """Size of square images from the number of patches; None where the patches' size is not known."""
    patch = PATCH_SIZES.get(str(shards.get("family")))
    side = math.isqrt(shards.get("content_tokens_per_example") or 0)
    return patch * side if patch and side and side**2 == shards["content_tokens_per_example"] else None
