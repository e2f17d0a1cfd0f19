"""`sae:INDEX`: a feature of a sparse autoencoder, as an activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from equidiff.contracts import BuildContext, Finding, Objective, Predictor
from equidiff.errors import UnsupportedError, UsageError, WeightsError
from equidiff.networks import predictor_of
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
    """Build `sae:INDEX`, and run the transformer once on grey samples.

    Raises:
        UsageError: the argument is not an index, or an option contradicts the autoencoder.
        UnknownNameError: there is no such autoencoder, feature or layer.
        WeightsError: weights cannot be downloaded or read, or do not match.
        UnsupportedError: the generator's samples are not images.
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
    config = _completed(autoencoder.config, options, source)
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

    If the feature is inactive at all tokens, the activation has no gradient. `compare` then gives solvers the distance
    of the pre-activation, whose gradient leads to activity. It is never less than the distance of the activation, so
    that no non-member can pass for a member.

    Args:
        vision: source of the tokens.
        autoencoder: autoencoder of the feature; only `examine` reads all of it.
        feature: the feature.
        tokens: "cls", "patches" or "all".
        reduce: "mean", "max" or "all" of these tokens.
        name: name of the output.
        entry: catalog entry of the autoencoder; None for others.
    """

    unit = "activation"
    resizes = True  # transformers have one size

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

    def predictor(self) -> Predictor | None:
        """The transformer's own classes, where it has a head that names them."""
        return predictor_of(self._vision.network)

    def networks(self) -> list[nn.Module]:
        """The transformer."""
        return [self._vision.network.module]

    def compare(self, samples: Samples, target: Float[Tensor, " m"]) -> tuple[Measurements, Float[Tensor, "batch m"]]:
        """Measurements, and a residual with a gradient where the feature is inactive but should not be."""
        reading = self._read(self._vision.network.prepare(samples))
        measurements = self._reduced(reading.value)
        # an inactive feature is right where the target is zero
        should_be_active = (target > 0).to(measurements.dtype)
        return measurements, self.residual(measurements, target) + should_be_active * self._deficit(
            reading, measurements
        )

    def examine(self, images: Sequence[Image]) -> list[Finding]:
        """Explained variance and L0 on these images, beside the published figures."""
        return examine(self._vision, self._autoencoder, self._entry, images)

    def _read(self, inputs: Tensor) -> Reading:
        return self._feature.read(self._chosen(self._vision.read(inputs)))

    def _chosen(self, tokens: Tensor) -> Tensor:
        return choose_tokens(tokens, self._tokens, self._vision.prefix)

    def _reduced(self, values: Tensor) -> Tensor:
        if self._reduce == "mean":
            return values.mean(dim=1, keepdim=True)
        return values.amax(dim=1, keepdim=True) if self._reduce == "max" else values

    def _deficit(self, reading: Reading, measurements: Tensor) -> Tensor:
        """Deficit of outputs that are zero, at most zero, in the outputs' own unit."""
        if self._reduce == "all":
            return reading.deficit
        # the token nearest to activity would activate the output
        nearest = reading.deficit.amax(dim=1, keepdim=True)
        share = nearest / reading.deficit.shape[1] if self._reduce == "mean" else nearest
        return torch.where(measurements > 0, torch.zeros_like(share), share)


def _check_samples(context: BuildContext) -> None:
    if context.generator is not None and len(context.generator.sample_shape) != 3:
        raise UnsupportedError(
            "A Vision Transformer needs images, and this generator makes points.",
            given=f"samples of shape {tuple(context.generator.sample_shape)}",
            expected="grey or RGB images",
            hint="--generator toy:fashion",
        )


def _completed(config: SaeConfig, options: SaeOptions, source: Source) -> SaeConfig:
    """Settings completed by the options; options that contradict stored settings are refused."""
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
            "The autoencoder's files do not name the activations that it reads.",
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
    """Raw or processed weights: the user's choice, or what this family of autoencoders was trained on."""
    if options.weights is not None:
        return options.weights
    dino = "dino" in (config.model or "")
    return "processed" if config.layout == "prisma" and (dino or config.architecture == "transcoder") else "raw"


def _tokens(config: SaeConfig, options: SaeOptions) -> str:
    wanted = options.tokens or config.tokens
    if config.tokens not in ("all", wanted):
        raise UsageError(
            f"The autoencoder was trained on {'the class token' if config.tokens == 'cls' else 'patches'} alone; "
            "its features are meaningless for other tokens.",
            given=f"tokens={wanted}",
            expected=f"tokens={config.tokens}, or none",
        )
    return wanted


def _transformer(config: SaeConfig, options: SaeOptions, context: BuildContext) -> Vision:
    network = load_vit(_model(config, options), options.checkpoint, context)
    if options.through == "prisma":
        from equidiff_sae.prisma import hooked

        network = hooked(network)
    assert config.hook is not None  # `_completed` ensures it
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
