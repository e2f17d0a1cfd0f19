"""Published models, by the names that azula gives them."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from azula import hub
from azula.denoise import Denoiser
from azula.guidance.cfg import CFGDenoiser
from azula.plugins.utils import load_cards
from torch import nn

from equidiff.contracts import BuildContext
from equidiff.errors import UnsupportedError, UsageError, WeightsError, first_line, unknown_name
from equidiff.folders.json_files import read_json
from equidiff.networks.checkpoints import hash_weights
from equidiff.networks.hub import find_snapshot

if TYPE_CHECKING:
    from equidiff_azula.plugin import AzulaOptions

PIXELS, LATENTS = ("adm", "jit", "vdm"), ("sd", "sana", "flux")
PICKLES = ("edm", "eldm")  # azula opens their weights with pickle.load, which runs the code in them
FLUX_SIZE = 1024  # FLUX names no size of its own
FLUX_GUIDANCE = 4.0  # azula's default


@dataclass(frozen=True)
class Model:
    """A denoiser, ready to be sampled.

    Attributes:
        denoiser: azula's.
        shape: shape of one state.
        conditioning: the denoiser's arguments beside state and time, tensors of one row.
        autoencoder: its `decode` maps states to images in [-1, 1]; None for states that are such images.
    """

    denoiser: Denoiser
    shape: tuple[int, ...]
    conditioning: dict[str, Any] = field(default_factory=dict)
    autoencoder: Any = None


def load(argument: str | None, options: AzulaOptions, context: BuildContext) -> Model:
    """Load a published model.

    Args:
        argument: FAMILY/MODEL, as in azula.
        options: of `azula`.
        context: receives the records of the weights.

    Raises:
        UsageError: an option does not fit the model, or the argument is missing.
        UnknownNameError: azula has no such family or model.
        UnsupportedError: the model's weights are a pickle that runs code.
        WeightsError: the weights cannot be fetched, or are damaged.
    """
    family, name, card = _find(argument)
    if family in PIXELS:
        _refuse(options, "prompt", "size", "shape", model=f"{family}/{name}", why="it works on pixels of one size")
        return _load_pixels(family, name, card, options, context)
    _refuse(options, "label", "shape", model=f"{family}/{name}", why="it is conditional on a prompt")
    return _load_latents(family, name, card, options, context)


def _find(argument: str | None) -> tuple[str, str, SimpleNamespace]:
    family, _, name = (argument or "").partition("/")
    if not argument:
        raise UsageError(
            "azula needs a model.",
            given="no argument",
            expected="FAMILY/MODEL of azula, or FILE.py:FUNCTION",
            hint="--generator azula:adm/imagenet_256x256",
        )
    if family in PICKLES:
        raise UnsupportedError(
            f"The weights of {family} are a pickle that runs code when it is opened, so they are not loaded.",
            given=argument,
            expected=f"one of {', '.join((*PIXELS, *LATENTS))}",
            hint="azula:./denoiser.py:load,shape=3x64x64   # a function of yours that loads and returns the denoiser",
        )
    if family not in PIXELS + LATENTS:
        raise unknown_name("family of azula", family, PIXELS + LATENTS, "azula:adm/imagenet_256x256")
    module = importlib.import_module(f"azula.plugins.{family}")
    cards = load_cards(module)
    if name not in cards:
        raise unknown_name(f"model of azula's {family}", name, cards, f"azula:{family}/{next(iter(cards))}")
    return family, name, cards[name]


def _refuse(options: AzulaOptions, *names: str, model: str, why: str) -> None:
    given = [name for name in names if getattr(options, name) is not None]
    if given:
        raise UsageError(
            f"{model} has no {given[0]}: {why}.",
            given=", ".join(f"{name}={getattr(options, name)}" for name in given),
            expected="options that the model has",
        )


def _load_pixels(family: str, name: str, card: SimpleNamespace, options: AzulaOptions, context: BuildContext) -> Model:
    # the name that azula's own download gives the file
    path = Path(hub.get_hub_dir()) / re.sub(r"[^a-zA-Z0-9_]+", ".", card.url)
    module = importlib.import_module(f"azula.plugins.{family}")
    denoiser = _call(lambda: module.load_model(name), f"{family}/{name}", f"curl -L '{card.url}' -o '{path}'")
    context.weights.append(hash_weights(path, f"azula/{family}/{name}"))
    backbone = denoiser.backbone
    if family == "vdm":
        _refuse(options, "label", "guidance", model=f"{family}/{name}", why="it is unconditional")
        return Model(denoiser, tuple(backbone.shape))
    if family == "adm":
        side = backbone.image_size
        return Model(denoiser, (3, side, side), _label(options, backbone.num_classes, f"adm/{name}", required=True))
    shape = (backbone.in_channels, backbone.input_size, backbone.input_size)
    conditioning = _label(options, backbone.num_classes, f"jit/{name}", required=False)
    if options.guidance and options.guidance > 1:
        return Model(CFGDenoiser(denoiser), shape, _guided(conditioning, {}, options.guidance))
    return Model(denoiser, shape, conditioning)


def _label(options: AzulaOptions, classes: int | None, model: str, required: bool) -> dict[str, Any]:
    """The conditioning on the class that was asked for."""
    if required:
        _refuse(options, "guidance", model=model, why="it was trained without the empty class")
    if classes is None:
        _refuse(options, "label", model=model, why="it is unconditional")
        return {}
    if options.label is None and required:
        raise UsageError(
            f"{model} needs a class.", given="no label", expected=f"0 to {classes - 1}", hint=f"azula:{model},label=0"
        )
    if options.label is None:
        return {}
    if options.label >= classes:
        raise UsageError(f"{model} has no such class.", given=f"label={options.label}", expected=f"0 to {classes - 1}")
    return {"label": torch.tensor([options.label])}


def _guided(positive: dict[str, Any], negative: dict[str, Any], guidance: float) -> dict[str, Any]:
    """Arguments of azula's guided denoiser, whose scale is 0 without guidance where the field's is 1."""
    return {"positive": positive, "negative": negative, "guidance": guidance - 1}


def _load_latents(family: str, name: str, card: SimpleNamespace, options: AzulaOptions, context: BuildContext) -> Model:
    def wanted(there: Sequence[str]) -> list[str]:
        inside = [file for file in there if "/" in file and file.endswith((".json", ".txt", ".model", ".safetensors"))]
        return ["model_index.json", *(file for file in inside if _is_variant(file, card.variant))]

    folder = find_snapshot(card.repo, wanted, _is_complete, f"hf download {card.repo}")
    module = importlib.import_module(f"azula.plugins.{family}")
    denoiser, autoencoder, encoder = _call(
        lambda: module.load_model(name, local_files_only=True, use_safetensors=True),
        f"{family}/{name}",
        f"hf download {card.repo}",
    )
    for file in sorted(folder.glob("*/*.safetensors")):
        if _is_variant(file.name, card.variant):
            name_in_run = f"{card.repo}/{file.relative_to(folder).as_posix()}"
            context.weights.append(hash_weights(file, name_in_run, folder.name))
    dtype = torch.bfloat16 if context.dtype == "bfloat16" else torch.float32
    with torch.no_grad():
        text, empty = (encoder(prompt) for prompt in (options.prompt or "", ""))
    shape = _state(family, denoiser.backbone.config, options.size, autoencoder)
    denoiser, guidance = denoiser.to(dtype), options.guidance
    if family == "flux":
        scale = (guidance or FLUX_GUIDANCE) if denoiser.backbone.config.guidance_embeds else None
        return Model(denoiser, shape, text | {"guidance": scale}, autoencoder.float())
    if guidance and guidance > 1:
        return Model(CFGDenoiser(denoiser), shape, _guided(text, empty, guidance), autoencoder.float())
    return Model(denoiser, shape, text, autoencoder.float())


def _state(family: str, config: Any, size: int | None, autoencoder: nn.Module) -> tuple[int, ...]:
    """Shape of one state for images of this size."""
    part: Any = autoencoder.ae if family == "sana" else autoencoder.vae
    widths = part.config.encoder_block_out_channels if family == "sana" else part.config.block_out_channels
    factor = 2 ** (len(widths) - 1) * (2 if family == "flux" else 1)
    own = FLUX_SIZE if family == "flux" else config.sample_size * factor
    side, rest = divmod(size or own, factor)
    if rest:
        raise UsageError(
            "The autoencoder makes no images of this size.", given=f"size={size}", expected=f"a multiple of {factor}"
        )
    # azula keeps the channels of FLUX last
    return (side, side, config.in_channels) if family == "flux" else (config.in_channels, side, side)


def _is_variant(file: str, variant: str | None) -> bool:
    if not file.endswith(".safetensors"):
        return True
    return f".{variant}" in file if variant else not re.search(r"\.(fp16|bf16|non_ema)\b", file)


def _is_complete(folder: Path) -> bool:
    """Whether every component of a pipeline that has a configuration has weights as well."""
    try:
        index = read_json(folder / "model_index.json")
    except (OSError, ValueError):
        return False
    parts = [folder / key for key in index if (folder / key / "config.json").is_file()]
    return bool(parts) and all(any(part.glob("*.safetensors")) for part in parts)


def _call(function: Callable[[], Any], model: str, hint: str) -> Any:
    """Call a loader of azula, and turn whatever it raises into one error."""
    try:
        return function()
    except Exception as error:  # the download, the unpickler and the network each have their own
        raise WeightsError(
            f"azula cannot load {model}: {first_line(error)}",
            given=model,
            expected="a reachable address, or its file on this disk",
            hint=hint,
        ) from error
