"""`sae:INDEX`: a feature of a sparse autoencoder, as an activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from equidiff.contracts import BuildContext, Finding, Objective
from equidiff.errors import UnsupportedError, UsageError, WeightsError
from equidiff.networks.checkpoints import hash_weights
from equidiff.types import Measurements, Samples
from equidiff_sae.autoencoder import SparseAutoencoder
from equidiff_sae.catalog import FASHION_SAE, Entry, default_for
from equidiff_sae.config import SaeConfig, join_hook, split_hook
from equidiff_sae.examine import examine
from equidiff_sae.feature import Feature, Reading
from equidiff_sae.load import Source, locate, read_source, source_of
from equidiff_sae.vit import Vision, choose_tokens, load_vit

if TYPE_CHECKING:
    from equidiff_sae.plugin import SaeOptions


def build(argument: str | None, options: SaeOptions, context: BuildContext) -> SaeFeature:
    """Build `sae:INDEX`; the transformer is tried once with grey samples.

    Raises:
        UsageError: the argument is no index, or an option contradicts the autoencoder.
        UnknownNameError: there is no such autoencoder, feature or layer.
        WeightsError: weights cannot be had, read, or do not fit each other.
        UnsupportedError: the transformer cannot see the generator's samples.
    """
    if argument is None or not argument.isdecimal():
        raise UsageError("sae needs the index of a feature.", given=argument, expected="sae:INDEX", hint="sae:17")
    _check_samples(context)
    if options.sae is None:
        network = context.generator.network if context.generator else None
        entry = default_for(network, options.layer, options.site)
        source = source_of(entry)
    else:
        entry, source = locate(options.sae, options.layer, options.site)
    autoencoder = read_source(source)
    config = _settled(autoencoder.config, options, source)
    tokens = _tokens(config, options)
    feature = Feature(autoencoder, int(argument), context.device)
    record = hash_weights(source.file, source.name, source.revision)
    vision = _transformer(config, options, context)
    if record not in context.weights:
        context.weights.append(record)
    name = entry.name if entry else source.name
    default = f", the default for {'toy:fashion' if name == FASHION_SAE else 'photographs'}" if not options.sae else ""
    return SaeFeature(
        vision, autoencoder.described(config), feature, tokens, options.reduce,
        f"feature {argument} of {name}{default}", entry,
    )  # fmt: skip


@final
class SaeFeature(Objective):
    """A feature's activation at a transformer's tokens.

    Where the feature is off at all tokens the activation has no gradient. There `compare` gives solvers the distance of
    the pre-activation instead, which leads to where it is on. It is never less than the distance of the activation,
    so that no sample passes for a member that is none.

    Args:
        vision: the tokens.
        autoencoder: whose feature; read whole only by `examine`.
        feature: the feature.
        tokens: "cls", "patches" or "all".
        reduce: "mean", "max" or "all" of these tokens.
        name: what to call it.
        entry: what was published of the autoencoder; None where nothing is known.
    """

    unit = "activation"

    def __init__(
        self,
        vision: Vision,
        autoencoder: SparseAutoencoder,
        feature: Feature,
        tokens: str,
        reduce: str = "mean",
        name: str = "feature",
        entry: Entry | None = None,
    ) -> None:
        self._vision, self._autoencoder, self._feature = vision, autoencoder, feature
        self._tokens, self._entry = tokens, entry
        self._reduce = "all" if tokens == "cls" else reduce
        with torch.no_grad():
            count = self._chosen(vision.read(vision.network.probe(1))).shape[1]
        several = {"cls": "class token", "patches": "patches", "all": "tokens"}[tokens]
        place = several if self._reduce == "all" else f"{self._reduce} over {several}"
        name = f"{name} ({vision.hook}, {place})"
        split = self._reduce == "all" and count > 1
        self.names = tuple(f"{name}[{index}]" for index in range(count)) if split else (name,)

    def measure(self, samples: Samples) -> Measurements:
        """The activation in images `[batch, channels, height, width]`, reduced over tokens."""
        return self._reduced(self._read(self._vision.network.prepare(samples)).value)

    def measure_image(self, image: Image) -> Float[Tensor, "1 m"]:
        """The activation in a picture, prepared as the transformer's own evaluation would."""
        return self._reduced(self._read(self._vision.network.prepare_image(image)).value)

    def networks(self) -> list[nn.Module]:
        """The transformer."""
        return [self._vision.network.module]

    def compare(self, samples: Samples, target: Float[Tensor, " m"]) -> tuple[Measurements, Float[Tensor, "batch m"]]:
        """Measurements, and a residual with a slope where the feature is off but ought to be on."""
        reading = self._read(self._vision.network.prepare(samples))
        measurements = self._reduced(reading.value)
        # where the target is zero, to be off is to be right
        wanted = (target > 0).to(measurements.dtype)
        return measurements, self.residual(measurements, target) + wanted * self._lack(reading, measurements)

    def examine(self, images: Sequence[Image]) -> list[Finding]:
        """Explained variance and L0 on these pictures, beside what was published."""
        return examine(self._vision, self._autoencoder, self._entry, images)

    def _read(self, inputs: Tensor) -> Reading:
        return self._feature.read(self._chosen(self._vision.read(inputs)))

    def _chosen(self, tokens: Tensor) -> Tensor:
        return choose_tokens(tokens, self._tokens, self._vision.prefix)

    def _reduced(self, values: Tensor) -> Tensor:
        if self._reduce == "mean":
            return values.mean(dim=1, keepdim=True)
        return values.amax(dim=1, keepdim=True) if self._reduce == "max" else values

    def _lack(self, reading: Reading, measurements: Tensor) -> Tensor:
        """How far outputs that are zero are from being above it, at most zero, in the outputs' own unit."""
        if self._reduce == "all":
            return reading.lack
        # one token turns an output on: the nearest to it
        nearest = reading.lack.amax(dim=1, keepdim=True)
        share = nearest / reading.lack.shape[1] if self._reduce == "mean" else nearest
        return torch.where(measurements > 0, torch.zeros_like(share), share)


def _check_samples(context: BuildContext) -> None:
    if context.generator is not None and len(context.generator.sample_shape) != 3:
        raise UnsupportedError(
            "A Vision Transformer cannot see the samples of this generator.",
            given=f"samples of shape {tuple(context.generator.sample_shape)}",
            expected="grey or RGB images",
            hint="--generator toy:fashion",
        )


def _settled(config: SaeConfig, options: SaeOptions, source: Source) -> SaeConfig:
    """The settings, with the place where they leave it open; what they say cannot be changed."""
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
    if layer is None or site is None:
        raise UsageError(
            "The autoencoder's files do not say where it reads.",
            given=config.hook or source.file,
            expected="layer=NUMBER and site=resid_post (or mlp_out, resid_mid, ln2.hook_normalized)",
        )
    return replace(config, hook=join_hook(layer, site))


def _model(config: SaeConfig, options: SaeOptions) -> str:
    name = options.model or config.model
    if name is None:
        raise UsageError(
            "The autoencoder's files do not say which transformer it belongs to.",
            expected="model=NAME",
            hint="model=vit_base_patch16_clip_224.openai, or another timm name",
        )
    return name


def _convention(config: SaeConfig, options: SaeOptions) -> str:
    """Raw or processed weights: what this family of autoencoders was trained on, unless the user says otherwise."""
    if options.weights is not None:
        return options.weights
    dino = "dino" in (config.model or "")
    return "processed" if config.layout == "prisma" and (dino or config.architecture == "transcoder") else "raw"


def _tokens(config: SaeConfig, options: SaeOptions) -> str:
    wanted = options.tokens or config.tokens
    if config.tokens not in ("all", wanted):
        raise UsageError(
            f"The autoencoder was trained on {'the class token' if config.tokens == 'cls' else 'patches'} alone; "
            "of other tokens its features mean nothing.",
            given=f"tokens={wanted}",
            expected=f"tokens={config.tokens}, or none",
        )
    return wanted


def _transformer(config: SaeConfig, options: SaeOptions, context: BuildContext) -> Vision:
    network = load_vit(_model(config, options), options.checkpoint, context)
    if options.through == "prisma":
        from equidiff_sae.prisma import hooked

        network = hooked(network)
    assert config.hook is not None  # `_settled` saw to it
    vision = Vision(network, config.hook, _convention(config, options) == "processed")
    _check_width(vision, config)
    return vision


def _check_width(vision: Vision, config: SaeConfig) -> None:
    with torch.no_grad():
        width = vision.read(vision.network.probe(1)).shape[-1]
    if width != config.d_in:
        raise WeightsError(
            "The autoencoder does not fit the transformer.",
            given=f"an autoencoder of activations {config.d_in} wide, and {vision.network.name}, which is {width} wide",
            expected="two of the same width",
            hint="model=NAME must be the transformer that the autoencoder was trained on",
        )
