"""Feature spaces for comparing samples: of a network, of the user's own function, or of small images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from equidiff.builtin.objectives.descriptors import NetworkOptions
from equidiff.contracts import BuildContext, Generator, Weights
from equidiff.errors import PluginError, UnsupportedError, UsageError, unknown_name
from equidiff.folders.code import find_function
from equidiff.images.convert import quantized, to_channels
from equidiff.kinds.point import Point
from equidiff.kinds.registry import kind_of
from equidiff.networks import Units, load_network
from equidiff.networks.checkpoints import hash_weights, read_weights
from equidiff.networks.sources import SOURCES
from equidiff.registry.descriptors import Descriptor
from equidiff.registry.options import read_options
from equidiff.registry.specs import Spec
from equidiff.types import Samples

DEFAULT_SIZE = 32  # the longer side of the small images of `pixels`
EXPECTED = (
    "pixels, fashion, timm:NAME (or torchvision:, hf:, open_clip:NAME), module:./FILE.py:FUNCTION, "
    "or inception:WEIGHTS.pth"
)
PROBES = 2  # more than one, to see if a function keeps the batch axis


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """A map from samples to features, with its name and the weights that it uses.

    Attributes:
        name: spec of the map in canonical form.
        extract: maps samples `[batch, *sample_shape]`, images in [0, 1], to features `[batch, size]`.
        weights: records of the weights files that the map uses.
        inception: True for the features that FID and KID are defined on.
    """

    name: str
    extract: Callable[[Samples], Tensor]
    weights: tuple[Weights, ...] = ()
    inception: bool = False


class FeatureOptions(NetworkOptions):
    """Options of `fashion` and of networks from elsewhere, such as `timm:NAME`."""

    model: None = Field(None, exclude=True)
    layer: str | None = Field(None, description="the layer; by default the input of the classifier's final one")
    positions: Literal["mean", "max"] | None = Field(None, description="a channel of a feature map: mean or maximum")
    tokens: Literal["mean", "max", "cls"] | None = Field(
        None, description="a channel of a token sequence: mean, maximum, or the first token"
    )


def build_features(text: str, context: BuildContext) -> FeatureSpace:
    """Build a feature space from a spec.

    Args:
        text: `pixels[:SIZE]`, `fashion`, `timm:NAME[,checkpoint=...,layer=...]` and likewise for each other source of
            networks, `module:FILE.py:FUNCTION` or `inception:WEIGHTS.pth`.
        context: gives the device, and the generator of the samples to compare.

    Raises:
        UsageError: the text is not a feature space.
        EquiDiffError: the network, its weights or the function cannot be loaded, or cannot take the samples.
    """
    spec = Spec.parse(text)
    if spec.name not in BUILDERS:
        raise unknown_name("feature space", spec.name, BUILDERS, hint=f"--features takes {EXPECTED}")
    generator = context.generator
    if generator is None:
        raise UsageError("A feature space needs a generator of the samples to compare.")
    kind = kind_of(generator)
    if not kind.is_image:
        raise UnsupportedError(
            f"This generator makes {kind.plural}, which need no feature space.",
            given=f"--features {text}",
            expected=f"no --features option: {kind.plural} are compared by their {kind.compared_by}",
        )
    return BUILDERS[spec.name](spec, context, generator)


def default_features(context: BuildContext, under_test: frozenset[str]) -> tuple[FeatureSpace, str | None]:
    """Choose the feature space if the user names none, and say why it is not the generator's network, if it is not.

    It is the network that comes with the generator, unless that is the network under test, to which samples found
    with its help would look too good; else it is small images. Samples of other kinds are compared as these say,
    points by their coordinates.

    Args:
        context: gives the generator of the samples to compare.
        under_test: SHA-256 hashes of the weights files that the run loaded.
    """
    generator = context.generator
    kind = Point() if generator is None else kind_of(generator)
    if generator is None or not kind.is_image:
        return FeatureSpace(kind.compared_by, kind.compared), None
    if generator.network is None:
        return build_features(
            "pixels", context
        ), "pixels say little about the content of an image; choose a network with --features"
    own = BuildContext(context.device, context.dtype, generator, [])
    network = load_network(generator.network, None, own)
    if any(weights.sha256 in under_test for weights in own.weights):
        why = f"the generator's own network, {network.name}, is under test; choose another with --features"
        return build_features("pixels", context), why
    return _network_space(generator.network, network, None, own), None


def _pixels(spec: Spec, context: BuildContext, generator: Generator) -> FeatureSpace:
    read_options(Descriptor("pixels", "", ""), spec)
    if spec.argument is not None and not (spec.argument.isdecimal() and int(spec.argument) >= 2):
        raise UsageError("This is not an image size.", given=spec, expected="pixels:SIZE, with a SIZE of at least 2")
    size = DEFAULT_SIZE if spec.argument is None else int(spec.argument)
    height, width = generator.sample_shape[-2:]
    factor = min(1.0, size / max(height, width))
    shape = (max(1, round(factor * height)), max(1, round(factor * width)))

    def extract(samples: Samples) -> Tensor:
        if samples.shape[-2:] != shape:
            samples = F.interpolate(samples, shape, mode="bicubic", antialias=True)
        return samples.flatten(1)

    return FeatureSpace(str(spec), extract)


def _network(spec: Spec, context: BuildContext, generator: Generator) -> FeatureSpace:
    named = spec.name if spec.argument is None else f"{spec.name}:{spec.argument}"
    if (spec.name == "fashion") != (spec.argument is None):
        raise UsageError("This does not name a network.", given=spec, expected=EXPECTED)
    options = cast("FeatureOptions", read_options(Descriptor(spec.name, "", "", options=FeatureOptions), spec))
    where = {key: getattr(options, key) for key in ("layer", "positions", "tokens")}
    own = BuildContext(context.device, context.dtype, generator, [])
    return _network_space(str(spec), load_network(named, context=own, **options.settings()), where, own)


def _network_space(name: str, network: Any, where: dict[str, Any] | None, context: BuildContext) -> FeatureSpace:
    units = Units.at(network, **(where or {"layer": None}))
    return FeatureSpace(
        name, lambda samples: units.read_every(network.prepare(samples)).flatten(1), tuple(context.weights)
    )


def _module(spec: Spec, context: BuildContext, generator: Generator) -> FeatureSpace:
    read_options(Descriptor("module", "", ""), spec)
    function = find_function(spec.argument, "module")

    def extract(samples: Samples) -> Tensor:
        try:
            values = function(samples)
        except Exception as error:
            raise PluginError(
                f"{spec.argument} raised {type(error).__name__}: {error}",
                given=f"samples of shape {tuple(samples.shape)}",
                hint="--traceback shows where",
            ) from error
        if not isinstance(values, Tensor) or values.ndim < 2 or len(values) != len(samples):
            given = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise PluginError(
                f"{spec.argument} does not return features.",
                given=f"{given} for {len(samples)} samples",
                expected="a tensor of shape [batch, size]",
            )
        return values.flatten(1).float()

    extract(torch.full((PROBES, *generator.sample_shape), 0.5, device=context.device))
    return FeatureSpace(str(spec), extract)


def _inception(spec: Spec, context: BuildContext, generator: Generator) -> FeatureSpace:
    read_options(Descriptor("inception", "", ""), spec)
    if spec.argument is None:
        raise UsageError("The spec names no weights of Inception.", given=spec, expected="inception:WEIGHTS.pth")
    path = Path(spec.argument)
    read_weights(path)  # refuses a file that contains code, which torch-fidelity would run
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise PluginError(
            "Inception's features need torch-fidelity, which is not installed.",
            given=spec,
            hint='pip install "equidiff[fid]"',
        ) from error
    try:
        module = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    except RuntimeError as error:
        raise UsageError(
            "These are not the weights of torch-fidelity's Inception.",
            given=path,
            expected="pt_inception-2015-12-05-6726825d.pth, from its releases",
        ) from error
    module.to(context.device)

    def extract(samples: Samples) -> Tensor:
        (features,) = module((quantized(to_channels(samples, 3)) * 255).round().to(torch.uint8))
        return features

    return FeatureSpace(str(spec), extract, (hash_weights(path),), inception=True)


BUILDERS: dict[str, Callable[[Spec, BuildContext, Generator], FeatureSpace]] = {
    "pixels": _pixels,
    "fashion": _network,
    **dict.fromkeys(SOURCES, _network),
    "module": _module,
    "inception": _inception,
}
