"""Units of a layer: the axis of its channels, and the values read from each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from torch import Tensor, nn

from equidiff.errors import UnsupportedError, UsageError
from equidiff.networks.layers import Tap
from equidiff.networks.network import Network

PROBES = 2  # more than one, to see if the first axis of a layer's output is the batch


@final
@dataclass(frozen=True, eq=False, repr=False)
class Units:
    """All units of a layer: features, or channels of feature maps or token sequences.

    Attributes:
        tap: the layer.
        axis: axis of the channels in the layer's output.
        reduction: reduction over the positions of a channel: "mean", "max", "all", or "cls" for the first.
        count: number of units.
        position_shape: shape of the positions of a channel; empty if the layer outputs features.
    """

    tap: Tap
    axis: int
    reduction: str
    count: int
    position_shape: tuple[int, ...] = ()

    @classmethod
    def at(cls, network: Network, layer: str | None, positions: str | None = None, tokens: str | None = None) -> Units:
        """Find the units of a layer, by a pass of grey samples.

        Args:
            network: the network.
            layer: dotted name of a layer; by default the input of the classifier's final layer.
            positions: reduction over the positions of a feature map: "mean" (default), "max" or "all".
            tokens: reduction over tokens: "mean" (default), "max", "all" or "cls".

        Raises:
            UnknownNameError: there is no such layer.
            UnsupportedError: the layer does not output a single tensor that can be read.
            UsageError: `positions` or `tokens` does not apply to the layer.
        """
        tap = Tap.at(network, layer)
        output = _probe(tap)
        axis = _channel_axis(output, tap)
        reduction = _reduction(output, axis, {"positions": positions, "tokens": tokens}, tap)
        return cls(tap, axis, reduction, output.shape[axis], tuple(output.select(axis, 0).shape[1:]))

    def read_one(self, inputs: Tensor, index: int) -> Tensor:
        """Read one unit for prepared inputs: `[batch, 1]`, or `[batch, positions]` if all positions are kept."""
        positions = self.tap.read(inputs).select(self.axis, index).reshape(len(inputs), -1)
        if self.reduction == "mean":
            return positions.mean(dim=1, keepdim=True)
        if self.reduction == "max":
            return positions.amax(dim=1, keepdim=True)
        return positions[:, :1] if self.reduction == "cls" else positions

    def read_all(self, inputs: Tensor) -> Tensor:
        """Read every unit for prepared inputs: `[batch, units]`, or `[batch, units * positions]` if all are kept."""
        if self.reduction == "all":
            output = self.tap.read(inputs)
            return output.movedim(self.axis, 1).flatten(1)
        return self.read_every(inputs)

    def read_every(self, inputs: Tensor) -> Tensor:
        """Read every unit for prepared inputs: `[batch, units]`.

        Raises:
            UnsupportedError: all positions are kept, which leaves more than one number per unit.
        """
        output = self.tap.read(inputs)
        if output.ndim == 2:
            return output
        values = output.movedim(self.axis, 1).flatten(2)
        if self.reduction == "mean":
            return values.mean(dim=2)
        if self.reduction == "max":
            return values.amax(dim=2)
        if self.reduction == "cls":
            return values[:, :, 0]
        raise UnsupportedError(
            "Units with all their positions cannot be compared.", expected="positions=mean or positions=max"
        )


def _probe(tap: Tap) -> Tensor:
    """Output of the layer for grey samples, once it is known to be readable."""
    outputs = tap.read_all(tap.network.probe(PROBES))
    problem = _problem(outputs)
    if problem:
        raise UnsupportedError(
            f"The layer {tap.name} of {tap.network.name} {problem}.",
            given=f"{tap.name} ({type(tap.module).__name__})",
            expected="a layer that outputs one tensor per forward pass: features, feature maps or tokens",
            hint="name the layer around it or one inside it",
        )
    return outputs[0]


def _problem(outputs: list[Any]) -> str | None:
    if len(outputs) != 1:
        return f"is called {len(outputs)} times in a forward pass" if outputs else "is never called in a forward pass"
    output = outputs[0]
    if not isinstance(output, Tensor):
        return f"outputs a {type(output).__name__}, not a tensor"
    if not output.is_floating_point() or output.ndim not in (2, 3, 4) or len(output) != PROBES:
        return f"outputs {output.dtype} of shape {tuple(output.shape)} for {PROBES} samples"
    return None


def _channel_axis(output: Tensor, tap: Tap) -> int:
    """Axis of the channels: feature maps come as [b, c, h, w] and as [b, h, w, c]."""
    if output.ndim < 4:
        return output.ndim - 1
    _, first, second, third = output.shape
    # inputs are square, so the two equal axes are the positions
    if (first == second) != (second == third):
        return 3 if first == second else 1
    channels_last = isinstance(tap.module, nn.Linear | nn.LayerNorm) or tap.network.channels_last
    return 3 if channels_last and not isinstance(tap.module, nn.Conv2d) else 1


def _reduction(output: Tensor, axis: int, given: dict[str, str | None], tap: Tap) -> str:
    allowed = {3: "tokens", 4: "positions"}.get(output.ndim)
    wrong = [name for name, value in given.items() if value is not None and name != allowed]
    if wrong:
        raise UsageError(
            f"{tap.name} has no {wrong[0]}: its output is {_shape(output, axis)}.",
            given=f"{wrong[0]}={given[wrong[0]]}",
            expected=f"no such option, or {allowed}=..." if allowed else "no such option",
        )
    # timm counts the class token (and registers) of its transformers
    without = tap.network.class_token is False or getattr(tap.network.module, "num_prefix_tokens", None) == 0
    if given["tokens"] == "cls" and without:
        raise UsageError(
            f"{tap.network.name} has no class token.",
            given="tokens=cls",
            expected="tokens=mean, tokens=max or tokens=all",
        )
    return (given[allowed] or "mean") if allowed else "all"


def _shape(output: Tensor, axis: int) -> str:
    if output.ndim == 2:
        return f"{output.shape[1]} features"
    if output.ndim == 3:
        return f"{output.shape[1]} tokens of {output.shape[2]} channels"
    height, width = output.shape[2:] if axis == 1 else output.shape[1:3]
    return f"{output.shape[axis]} channels of {height}x{width} positions"
