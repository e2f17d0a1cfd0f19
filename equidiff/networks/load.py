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
from equidiff.networks.pretrained import load_timm
from equidiff.types import Samples


def load_network(
    model: str | None,
    checkpoint: str | None,
    context: BuildContext,
    *,
    mean: float | None = None,
    std: float | None = None,
    pad: str | None = None,
) -> Network:
    """Build a network, load its weights, and append them to `context.weights`.

    Args:
        model: "fashion", "circles", or a timm name; by default the generator's own network.
        checkpoint: a local weights file; by default the shipped or pretrained weights.
        context: gives the device, and the generator whose samples the network must take.
        mean: value that timm models subtract from every channel; by default that of timm's data config.
        std: value that timm models divide every channel by; by default that of timm's data config.
        pad: padding of timm's EfficientNet family ("same": as TensorFlow pads).

    Raises:
        UsageError: no network was named and the generator has none of its own, or an option does not apply.
        UnknownNameError: there is no network of that name; the message shows the nearest ones.
        WeightsError: the weights cannot be obtained or read, or do not fit.
        UnsupportedError: the network cannot take the generator's samples.
    """
    name = model or (context.generator.network if context.generator else None)
    if name is None:
        raise UsageError(
            "No network is named, and this generator has none of its own.",
            expected="model=NAME in the objective",
            hint="neuron:17,model=resnet50 (or fashion, circles, or another timm model)",
        )
    if name in ("fashion", "circles"):
        _refuse_timm_options(name, {"mean": mean, "std": std, "pad": pad})
        network = _fashion(checkpoint, context) if name == "fashion" else _circles(checkpoint, context)
    else:
        network = load_timm(name, checkpoint, context, mean=mean, std=std, pad=pad)
    _check_samples(network, context)
    return network


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


def _refuse_timm_options(name: str, options: dict[str, object]) -> None:
    given = [key for key, value in options.items() if value is not None]
    if given:
        raise UsageError(
            f"{name} has its own preprocessing.",
            given=", ".join(given),
            expected="these options only with timm models",
        )


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
            else f"points of shape {_shape(network.sample_shape)}",
            hint="model=NAME names another network"
            + (f", such as this generator's own, {context.generator.network}" if context.generator.network else ""),
        )


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
