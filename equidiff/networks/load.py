"""Networks, loaded by name."""

from __future__ import annotations

from functools import partial
from importlib import resources
from pathlib import Path

from torch import Tensor, nn

from equidiff.contracts import BuildContext
from equidiff.errors import UnsupportedError, UsageError
from equidiff.networks import circles, fashion
from equidiff.networks.checkpoints import hash_weights, put_weights, read_weights
from equidiff.networks.images import prepare_grey
from equidiff.networks.network import Network
from equidiff.networks.preprocessing import Values
from equidiff.networks.request import Request
from equidiff.networks.sources import load_from_source
from equidiff.types import Samples


def load_network(
    model: str | None,
    checkpoint: str | None,
    context: BuildContext,
    *,
    pretrained: str | None = None,
    size: int | None = None,
    mean: Values | None = None,
    std: Values | None = None,
    pad: str | None = None,
    weights: bool = True,
) -> Network:
    """Build a network, load its weights, and append them to `context.weights`.

    Args:
        model: "fashion", "circles", a timm name, or a name with the prefix of another source, such as
            "torchvision:resnet50"; by default the generator's own network.
        checkpoint: a local weights file; by default the shipped or published weights.
        context: gives the device, and the generator whose samples the network must take.
        pretrained: name of the published weights, where there are several.
        size: side of the images, for networks that do not say how theirs are prepared.
        mean: value that is subtracted from each channel; by default the network's own.
        std: value that each channel is divided by; by default the network's own.
        pad: padding of timm's EfficientNet family ("same": as TensorFlow pads).
        weights: load the weights; without them, the layers can be listed.

    Raises:
        UsageError: no network was named and the generator has none of its own, or an option does not apply.
        UnknownNameError: there is no network of that name; the message shows the nearest ones.
        WeightsError: the weights cannot be obtained or read, or do not fit.
        UnsupportedError: the network cannot take the generator's samples, or is not a network of images.
        PluginError: a library that it needs is not installed, or the user's own code fails.
    """
    name = model or _own_network(context)
    how = (checkpoint, pretrained, size, mean, std, pad, weights)
    shape = None if context.generator is None else tuple(context.generator.sample_shape)  # some networks follow it
    network = context.share("network", (name, shape, *how), lambda own: _load(Request(name, own, *how)))
    _check_samples(network, context)
    return network


def _load(request: Request) -> Network:
    return _load_shipped_network(request) if request.model in SHIPPED else load_from_source(request)


def _load_shipped_network(request: Request) -> Network:
    request.refuse(
        *("pretrained", "size", "mean", "std", "pad"),
        why=f"{request.model} has its own preprocessing and weights.",
        expected="no such option",
    )
    return SHIPPED[request.model](request.checkpoint, request.context)


def _own_network(context: BuildContext) -> str:
    if context.generator is None or context.generator.network is None:
        raise UsageError(
            "No network is named, and this generator has none of its own.",
            expected="model=NAME in the objective",
            hint="neuron:17,model=resnet50 (or fashion, circles, torchvision:NAME, hf:NAME, or another timm model)",
        )
    return context.generator.network


def _fashion(checkpoint: str | None, context: BuildContext) -> Network:
    module = _load_shipped(fashion.FashionNet(), "fashion_classifier.safetensors", checkpoint, context)
    return Network(
        module,
        "fashion",
        context.device,
        (1, 28, 28),
        prepare=partial(prepare_grey, size=28),
        names=tuple((name,) for name in fashion.CLASSES),
        head="head",
    )


def _circles(checkpoint: str | None, context: BuildContext) -> Network:
    module = _load_shipped(circles.CirclesNet(), "circles_mlp.safetensors", checkpoint, context)
    return Network(
        module,
        "circles",
        context.device,
        (2,),
        prepare=_unchanged,
        names=tuple((name,) for name in circles.CLASSES),
        head="layer3",
    )


def _load_shipped(module: nn.Module, file: str, checkpoint: str | None, context: BuildContext) -> nn.Module:
    with resources.as_file(resources.files("equidiff") / "weights" / file) as shipped:
        path = Path(checkpoint) if checkpoint else shipped
        put_weights(module, read_weights(path), path)
        record = hash_weights(path)
    if record not in context.weights:
        context.weights.append(record)
    return module.eval().requires_grad_(False).to(context.device)


def _unchanged(samples: Samples) -> Tensor:
    return samples


SHIPPED = {"fashion": _fashion, "circles": _circles}


def _check_samples(network: Network, context: BuildContext) -> None:
    if context.generator is None:
        return
    shape = context.generator.sample_shape
    fits = shape[0] in (1, 3) if len(network.sample_shape) == 3 == len(shape) else shape == network.sample_shape
    if not fits:
        raise UnsupportedError(
            f"{network.name} cannot take the samples of this generator.",
            given=f"samples of shape {_shape(shape)}",
            expected="grey or RGB images"
            if len(network.sample_shape) == 3
            else f"samples of shape {_shape(network.sample_shape)}",
            hint="model=NAME names another network"
            + (f", such as this generator's own, {context.generator.network}" if context.generator.network else ""),
        )


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
