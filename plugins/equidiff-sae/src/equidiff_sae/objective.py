"""`sae:INDEX`: a feature of a sparse autoencoder, as an activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from equidiff.contracts import BuildContext, Finding, Objective, Predictor
from equidiff.errors import UnsupportedError, UsageError
from equidiff.networks import predictor_of
from equidiff.networks.checkpoints import hash_weights
from equidiff.types import Measurements, Samples
from equidiff_sae.autoencoder import SparseAutoencoder
from equidiff_sae.catalog import FASHION_SAE, Entry, default_for
from equidiff_sae.examine import examine
from equidiff_sae.feature import Feature, Reading
from equidiff_sae.load import locate, read_source, source_of
from equidiff_sae.pairing import choose_kind, complete, pair
from equidiff_sae.vision import Vision, choose_tokens

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
    config = complete(autoencoder.config, options, source)
    tokens = choose_kind(config, options)
    feature = Feature(autoencoder, int(argument), context.device)
    record = hash_weights(source.file, source.name, source.revision)
    vision = pair(config, options, context)
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
    """A feature's activation at the tokens of a transformer, or the positions of a feature map.

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
    resizes = True  # networks have one size
    sparse = True

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
        residual = self.residual(measurements, target)
        # an inactive feature is right where the target is zero
        above = (target > 0).to(measurements.dtype)
        residual = residual + above * self._deficit(reading.deficit, measurements)
        if reading.below is not None:
            residual = residual - (target < 0).to(measurements.dtype) * self._deficit(reading.below, measurements)
        return measurements, residual

    def examine(self, images: Sequence[Image]) -> list[Finding]:
        """Explained variance and L0 on these images, beside the published figures."""
        return examine(self._vision, self._autoencoder, self._entry, images)

    def _read(self, inputs: Tensor) -> Reading:
        return self._feature.read(self._chosen(self._vision.read(inputs)))

    def _chosen(self, tokens: Tensor) -> Tensor:
        return choose_tokens(tokens, self._tokens, self._vision)

    def _reduced(self, values: Tensor) -> Tensor:
        if self._reduce == "mean":
            return values.mean(dim=1, keepdim=True)
        return values.amax(dim=1, keepdim=True) if self._reduce == "max" else values

    def _deficit(self, deficit: Tensor, measurements: Tensor) -> Tensor:
        """Deficit of outputs that are zero, at most zero, in the outputs' own unit."""
        if self._reduce == "all":
            return deficit
        # the token nearest to activity would activate the output
        nearest = deficit.amax(dim=1, keepdim=True)
        share = nearest / deficit.shape[1] if self._reduce == "mean" else nearest
        return torch.where(measurements == 0, share, torch.zeros_like(share))


def _check_samples(context: BuildContext) -> None:
    if context.generator is not None and len(context.generator.sample_shape) != 3:
        raise UnsupportedError(
            "The network of an autoencoder needs images, and this generator makes points.",
            given=f"samples of shape {tuple(context.generator.sample_shape)}",
            expected="grey or RGB images",
            hint="--generator toy:fashion",
        )
