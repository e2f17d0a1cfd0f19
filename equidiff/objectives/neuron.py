"""One unit of any layer of a network."""

from __future__ import annotations

from itertools import product
from typing import Any, final

from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from equidiff.builtin import NeuronOptions
from equidiff.contracts import BuildContext, Measurements, Objective, Samples
from equidiff.errors import UnknownNameError, UnsupportedError, UsageError
from equidiff.networks import Tap, load_network

EXPECTED = "LAYER.INDEX such as block3.17, or INDEX alone for the layer before the classifier's head"
PROBES = 2  # more than one, to see whether the first axis of a layer's output is the batch


def build(argument: str | None, options: NeuronOptions, context: BuildContext) -> Neuron:
    """Build `neuron:LAYER.INDEX`; the layer is tried once with a grey sample.

    Raises:
        UsageError: the argument is no LAYER.INDEX, or an option does not apply to the layer.
        UnknownNameError: there is no such layer or unit.
        UnsupportedError: the layer does not put out one tensor that can be read.
    """
    layer, index = _parse(argument)
    network = load_network(
        options.model, options.checkpoint, context, mean=options.mean, std=options.std, pad=options.pad
    )
    tap = Tap.at(network, layer)
    output = _probe(tap)
    axis = _channel_axis(output, tap)
    reduction = _reduction(output, axis, options, tap)
    if not 0 <= index < output.shape[axis]:
        raise UnknownNameError(
            f"{tap.name} has no unit {index}.", given=argument, expected=f"an index from 0 to {output.shape[axis] - 1}"
        )
    return Neuron(tap, index, axis, reduction, _names(tap, index, output, axis, reduction))


@final
class Neuron(Objective):
    """A feature, or a channel of a feature map or token sequence, as an activation.

    Args:
        tap: the layer.
        index: the channel.
        axis: where the layer's output has its channels.
        reduction: what becomes of the channel's positions: "mean", "max", "all", or "cls" for the first.
        names: a name for each output.
    """

    unit = "activation"

    def __init__(self, tap: Tap, index: int, axis: int, reduction: str, names: tuple[str, ...]) -> None:
        self._tap = tap
        self._index = index
        self._axis = axis
        self._reduction = reduction
        self.names = names

    def measure(self, samples: Samples) -> Measurements:
        return self._read(self._tap.network.prepare(samples))

    def measure_image(self, image: Image) -> Float[Tensor, "1 m"]:
        return self._read(self._tap.network.prepare_image(image))

    def _read(self, inputs: Tensor) -> Measurements:
        channel = self._tap.read(inputs).select(self._axis, self._index)
        positions = channel.reshape(len(inputs), -1)
        if self._reduction == "mean":
            return positions.mean(dim=1, keepdim=True)
        if self._reduction == "max":
            return positions.amax(dim=1, keepdim=True)
        return positions[:, :1] if self._reduction == "cls" else positions


def _parse(argument: str | None) -> tuple[str | None, int]:
    layer, dot, index = (argument or "").rpartition(".")
    if not index.isdecimal() or (dot and not layer):
        raise UsageError(
            "neuron needs a layer and the index of one of its units.",
            given=argument,
            expected=EXPECTED,
            hint=f"neuron:{argument}.0" if argument and not dot else "neuron:17",
        )
    return layer or None, int(index)


def _probe(tap: Tap) -> Tensor:
    """What the layer makes of grey samples, once it is sure that this can be read."""
    outputs = tap.read_all(tap.network.probe(PROBES))
    problem = _problem(outputs)
    if problem:
        raise UnsupportedError(
            f"The layer {tap.name} of {tap.network.name} {problem}.",
            given=f"{tap.name} ({type(tap.module).__name__})",
            expected="a layer that puts out one tensor per forward pass: features, feature maps or tokens",
            hint="name the layer around it, or one inside it",
        )
    return outputs[0]


def _problem(outputs: list[Any]) -> str | None:
    if len(outputs) != 1:
        return f"is called {len(outputs)} times in a forward pass" if outputs else "is never called in a forward pass"
    output = outputs[0]
    if not isinstance(output, Tensor):
        return f"puts out a {type(output).__name__}, not a tensor"
    if not output.is_floating_point() or output.ndim not in (2, 3, 4) or len(output) != PROBES:
        return f"puts out {output.dtype} of shape {tuple(output.shape)} for {PROBES} samples"
    return None


def _channel_axis(output: Tensor, tap: Tap) -> int:
    """Where the channels are: feature maps come as [b, c, h, w] and as [b, h, w, c]."""
    if output.ndim < 4:
        return output.ndim - 1
    _, first, second, third = output.shape
    # inputs are square, so that the two equal axes are the positions
    if (first == second) != (second == third):
        return 3 if first == second else 1
    channels_last = isinstance(tap.module, nn.Linear | nn.LayerNorm) or tap.network.channels_last
    return 3 if channels_last and not isinstance(tap.module, nn.Conv2d) else 1


def _reduction(output: Tensor, axis: int, options: NeuronOptions, tap: Tap) -> str:
    allowed = {3: "tokens", 4: "positions"}.get(output.ndim)
    wrong = [name for name in ("positions", "tokens") if name in options.model_fields_set and name != allowed]
    if wrong:
        raise UsageError(
            f"{tap.name} has no {wrong[0]}: its output is {_shape(output, axis)}.",
            given=f"{wrong[0]}={getattr(options, wrong[0])}",
            expected=f"no such option, or {allowed}=..." if allowed else "no such option",
        )
    # timm counts the class token (and registers) of its transformers
    if options.tokens == "cls" and getattr(tap.network.module, "num_prefix_tokens", None) == 0:
        raise UsageError(
            f"{tap.network.name} has no class token.",
            given="tokens=cls",
            expected="tokens=mean, tokens=max or tokens=all",
        )
    return {3: options.tokens, 4: options.positions}.get(output.ndim, "all")


def _names(tap: Tap, index: int, output: Tensor, axis: int, reduction: str) -> tuple[str, ...]:
    name = f"{tap.name}.{index}"
    shape = output.select(axis, index).shape[1:]
    if reduction != "all" or not shape:
        return (name,)
    places = product(*map(range, shape))
    return tuple(f"{name}[{','.join(map(str, place))}]" for place in places)


def _shape(output: Tensor, axis: int) -> str:
    if output.ndim == 2:
        return f"{output.shape[1]} features"
    if output.ndim == 3:
        return f"{output.shape[1]} tokens of {output.shape[2]} channels"
    height, width = output.shape[2:] if axis == 1 else output.shape[1:3]
    return f"{output.shape[axis]} channels of {height}x{width} positions"
