"""An autoencoder and the network that it reads: what the files say about the two, completed by the user's options."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from equidiff.contracts import BuildContext
from equidiff.errors import UsageError, WeightsError
from equidiff_sae.blocks import SITES
from equidiff_sae.config import SaeConfig, join_hook, split_hook
from equidiff_sae.load import Source
from equidiff_sae.tower import View, find_folder, load_tower, quick_gelu_twin
from equidiff_sae.vision import Vision

if TYPE_CHECKING:
    from equidiff_sae.plugin import SaeOptions

USUAL_SIZE = 224  # of images in the training of autoencoders
SAEV_DINO = View(USUAL_SIZE, crop=USUAL_SIZE / 256, interpolation="bilinear")  # saev's transform for DINOv2


def complete(config: SaeConfig, options: SaeOptions, source: Source) -> SaeConfig:
    """Complete settings by the options.

    Raises:
        UsageError: an option contradicts the settings, or they do not say what the autoencoder reads.
    """
    layer, site = (split_hook(config.hook) or (None, None)) if config.hook else (None, None)
    for name, given, stored in (("layer", options.layer, layer), ("site", options.site, site)):
        if given is not None and stored is not None and given != stored:
            raise UsageError(
                f"The autoencoder was trained at another {name}: {config.hook}.",
                given=f"{name}={given} for {source.name}",
                expected=f"{name}={stored}, or none",
            )
    layer = options.layer if layer is None else layer
    site = options.site or site
    if layer is not None and site is not None:
        return replace(config, hook=join_hook(layer, site))
    if site is not None and site not in SITES:
        return replace(config, hook=site)  # a module's name
    if config.hook is not None and site is None and layer is None:
        return config
    raise UsageError(
        "The autoencoder's files do not name the activations that it reads.",
        given=config.hook or source.file,
        expected="layer=NUMBER and site=resid_post (or mlp_out, resid_mid, ln2.hook_normalized), or site=MODULE",
    )


def choose_kind(config: SaeConfig, options: SaeOptions) -> str:
    """The tokens to read: "cls", "patches" or "all".

    Raises:
        UsageError: the autoencoder was trained on others.
    """
    wanted = options.tokens or config.tokens
    if config.tokens not in ("all", wanted):
        raise UsageError(
            f"The autoencoder was trained on {'the class token' if config.tokens == 'cls' else 'patches'} alone; "
            "its features are meaningless for other tokens.",
            given=f"tokens={wanted}",
            expected=f"tokens={config.tokens}, or none",
        )
    return wanted


def pair(config: SaeConfig, options: SaeOptions, context: BuildContext) -> Vision:
    """Load the network of an autoencoder, and add to the context's notes what had to be assumed.

    Raises:
        UsageError: the network is not named.
        WeightsError: the two do not fit.
    """
    name = _model(config, options)
    view = _view(config, options, name)
    network = load_tower(name, options.checkpoint, context, view)
    context.notes.extend(_notes(config, options, name, network.sample_shape[1], view))
    if options.through == "prisma":
        from equidiff_sae.prisma import hooked

        network = hooked(network)
    assert config.hook is not None  # `complete` ensures it
    vision = Vision(network, config.hook, _convention(config, options) == "processed", config.d_in)
    _check_width(vision, config)
    return vision


def _model(config: SaeConfig, options: SaeOptions) -> str:
    name = options.model or config.model
    if name is None:
        raise UsageError(
            "The autoencoder's files do not say which network it belongs to.",
            expected="model=NAME",
            hint="model=vit_base_patch16_clip_quickgelu_224.openai, or another timm name",
        )
    return name


def _convention(config: SaeConfig, options: SaeOptions) -> str:
    """Raw or processed weights: the user's choice, or what this family of autoencoders was trained on."""
    if options.weights is not None:
        return options.weights
    dino = "dino" in (config.model or "")
    return "processed" if config.layout == "prisma" and (dino or config.architecture == "transcoder") else "raw"


def _view(config: SaeConfig, options: SaeOptions, name: str) -> View:
    size = options.size or config.size
    if config.layout == "saev" and "dinov2" in name and size == USUAL_SIZE:
        return SAEV_DINO
    return View(size)


def _notes(config: SaeConfig, options: SaeOptions, name: str, side: int, view: View) -> list[str]:
    """Sentences about what may differ from the autoencoder's training."""
    notes = [] if config.doubt is None else [config.doubt]
    if options.size and config.size and options.size != config.size:
        notes.append(f"The autoencoder was trained on images of {config.size} pixels, and reads {options.size} here.")
    if view.size is None and side != USUAL_SIZE and find_folder(name) is None:
        usual = "saev resizes to 256 and crops the centre to 224" if config.layout == "saev" else "224 is usual"
        notes.append(
            f"The autoencoder's files do not say how large the images of its training were, and {name} reads "
            f"{side}x{side}: {usual}. size=PIXELS sets it."
        )
    twin = quick_gelu_twin(name)
    if twin is not None:
        notes.append(f"The weights of {name} were trained with QuickGELU, and it computes GELU: {twin} is right.")
    return notes


def _check_width(vision: Vision, config: SaeConfig) -> None:
    with torch.no_grad():
        width = vision.read(vision.network.probe(1)).shape[-1]
    if width != config.d_in:
        raise WeightsError(
            "The autoencoder does not fit the network.",
            given=f"an autoencoder of activations {config.d_in} wide, and {vision.network.name}, which is {width} wide",
            expected="two of the same width",
            hint="model=NAME must be the network that the autoencoder was trained on",
        )
