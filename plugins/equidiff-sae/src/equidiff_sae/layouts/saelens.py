"""SAELens's layout: cfg.json and sae_weights.safetensors, and beside them what a checkpoint of the training has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from equidiff.errors import WeightsError
from equidiff_sae.config import Activation, Architecture, Normalisation, Pursuit, SaeConfig
from equidiff_sae.files import read_json, read_safetensors
from equidiff_sae.layouts.settings import Settings, Tensors

SCALER, WHITENING = "activation_scaler.json", "activation_whitening.safetensors"  # of checkpoints of the training
# architecture: what computes the features, and their activation function; None: as the settings say
ARCHITECTURES: dict[str, tuple[str, str | None]] = {
    "standard": ("standard", None),
    "gated": ("gated", "relu"),
    "jumprelu": ("standard", "jumprelu"),
    "topk": ("standard", "topk"),
    "abstopk": ("standard", "abstopk"),
    # checkpoints of the training; finished ones are saved as jumprelu
    "batchtopk": ("standard", "jumprelu"),
    "matryoshka_batchtopk": ("standard", "jumprelu"),
    "transcoder": ("transcoder", "relu"),
    "skip_transcoder": ("transcoder", "relu"),
    "jumprelu_transcoder": ("transcoder", "jumprelu"),
    "jumprelu_skip_transcoder": ("transcoder", "jumprelu"),
    "matching_pursuit": ("pursuit", "relu"),
}
REASONS = {"temporal": "its features depend on the tokens before, in the order of a text"}
# names that settings before version 6 have
EARLIER = {"hook_point": "hook_name", "hook_point_head_index": "hook_head_index", "activation_fn_str": "activation_fn"}


def read_saelens(content: Mapping[str, Any], tensors: Tensors, path: Path) -> tuple[SaeConfig, Tensors]:
    """Read SAELens's layout: settings of version 6, or those before, which are flat.

    Raises:
        WeightsError: a setting is missing, or something is not supported.
    """
    settings = Settings({EARLIER.get(name, name): value for name, value in content.items()}, path)
    about = Settings({**settings.content, **(settings.get("metadata") or {})}, path)
    name = _architecture(settings)
    architecture, activation = ARCHITECTURES[name]
    tensors = _renamed(tensors, settings)
    _check_hook(about)
    normalisation, factor, extra = _normalisation(settings, path)
    transcoder = architecture == "transcoder"
    d_in = settings.need("d_in")
    kwargs = settings.get("activation_fn_kwargs") or {}
    config = SaeConfig(
        layout="saelens",
        architecture=cast(Architecture, architecture),
        activation=cast(Activation, activation or _activation(settings)),
        normalisation=cast(Normalisation, normalisation),
        d_in=d_in,
        d_sae=settings.need("d_sae"),
        d_out=settings.need("d_out") if transcoder else d_in,
        hook=about.get("hook_name"),
        out_hook=about.get("hook_name_out") if transcoder else None,
        model=about.get("model_name"),
        size=about.get("image_size"),
        k=settings.get("k") or kwargs.get("k"),
        factor=factor,
        centred=not transcoder and bool(settings.get("apply_b_dec_to_input", True)),
        scaled=bool(settings.get("rescale_acts_by_decoder_norm", False)),
        skip="skip" in name,
        heads=_has_heads(settings, about),
        raw_output=transcoder,
        pursuit=_pursuit(settings) if architecture == "pursuit" else None,
    )
    if config.architecture == "pursuit" and not config.centred:
        tensors["b_dec"] = torch.zeros(d_in)  # tied: added to the output only where it was subtracted from the input
    if "topk_threshold" in tensors:
        # in the unit of the features, which SAELens changes with the decoder's norms when it folds the factor
        threshold = tensors.pop("topk_threshold").float() / (factor if config.scaled else 1)
        tensors["threshold"] = threshold.reshape(1).expand(config.d_sae)
    return config, tensors | extra


def _architecture(settings: Settings) -> str:
    name = settings.get("architecture", "standard")  # settings of 2024 do not have it
    kwargs = settings.get("activation_fn_kwargs") or {}
    if name == "standard" and settings.get("activation_fn") == "topk" and kwargs.get("k") is not None:
        name = "topk"
    if name in REASONS:
        raise settings.refuse(f"SAELens's architecture {name}", name, REASONS[name])
    settings.pick("architecture", name, {known: known for known in ARCHITECTURES})
    return name


def _activation(settings: Settings) -> str:
    known = ("relu", "tanh-relu", "topk")
    return settings.pick(
        "activation function", settings.get("activation_fn") or "relu", dict(zip(known, known, strict=True))
    )


def _renamed(tensors: Tensors, settings: Settings) -> Tensors:
    """Tensors under the names of today."""
    tensors = dict(tensors)
    factors = tensors.pop("scaling_factor", tensors.pop("finetuning_scaling_factor", torch.ones(())))
    if not torch.allclose(factors.float(), torch.ones(())):
        raise settings.refuse(
            "A decoder with fine-tuned factors", "finetuning_scaling_factor", "SAELens 6 does not read it either"
        )
    if "log_threshold" in tensors:
        tensors["threshold"] = tensors.pop("log_threshold").exp()
    return tensors


def _has_heads(settings: Settings, about: Settings) -> bool:
    by_name = "hook_z" if "hook_z" in (about.get("hook_name") or "") else "none"
    return settings.get("reshape_activations", by_name) == "hook_z"


def _check_hook(about: Settings) -> None:
    if about.get("hook_head_index") is not None:
        raise about.refuse(
            "An autoencoder of one attention head", f"hook_head_index {about.get('hook_head_index')}",
            "hooks read all heads side by side",
        )  # fmt: skip


def _normalisation(settings: Settings, path: Path) -> tuple[str, float, Tensors]:
    """Name, factor and tensors of the normalisation.

    In training, a factor or a whitening is applied to activations before they reach the autoencoder; when it is
    finished, they are folded into the weights and the setting becomes "none".
    """
    name = settings.get("normalize_activations", "none")
    if name in (True, "expected_average_only_in"):
        return "constant", _scaler(path).need_number("scaling_factor"), {}
    if name == "covariance_whitening":
        stored = read_safetensors(_beside(path, WHITENING))
        tensors = {"mean": stored["mean"], "whitening": stored["matrix"], "unwhitening": stored["inverse_matrix"]}
        return "whitening", 1.0, tensors
    known: dict[Any, str] = {each: each for each in ("none", "layer_norm", "constant_norm_rescale")}
    return settings.pick("normalisation", name, {**known, None: "none", False: "none"}), 1.0, {}


def _scaler(path: Path) -> Settings:
    place = _beside(path, SCALER)
    return Settings(read_json(place), place)


def _beside(path: Path, name: str) -> Path:
    place = path.with_name(name)
    if not place.exists():
        raise WeightsError(
            "The activations were scaled in training, and the scale is neither in the weights nor beside them.",
            given=f"normalize_activations in {path}, without {name}",
            expected=f"{name} of the same checkpoint, or an autoencoder that SAELens saved at the end of the training",
            hint=f"echo '{{\"scaling_factor\": NUMBER}}' > {place}" if name == SCALER else None,
        )
    return place


def _pursuit(settings: Settings) -> Pursuit:
    return Pursuit(
        steps=settings.get("max_iterations") or settings.need("d_in"),
        threshold=settings.get("residual_threshold", 1e-2),
        settled=bool(settings.get("stop_on_duplicate_support", True)),
    )
