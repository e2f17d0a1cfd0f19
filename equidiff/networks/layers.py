"""Layers of a network and their outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from equidiff.errors import UnsupportedError, unknown_name
from equidiff.networks.network import Network


class Layer(NamedTuple):
    """One line of `describe_layers`; `shape` is for one sample, and None if the output is not a single tensor."""

    name: str
    type: str
    shape: tuple[int, ...] | None


class _Reached(Exception):
    """Signal, not an error, that carries a value out of a forward pass."""

    def __init__(self, output: Any) -> None:
        self.output = output


@dataclass(frozen=True, eq=False, repr=False)
class Tap:
    """Place in a network that a measurement reads.

    Attributes:
        network: the network.
        name: name of the place, e.g. "block3".
        module: the module at the place.
        before: read the module's input instead of its output.
    """

    network: Network
    name: str
    module: nn.Module
    before: bool = False

    @classmethod
    def at(cls, network: Network, layer: str | None) -> Tap:
        """Find the output of a layer by its dotted name; without one, the input of the classifier's final layer.

        Raises:
            UnknownNameError: there is no such layer; the message shows the nearest names.
            UnsupportedError: no layer was named and the network has no single final layer.
        """
        modules = dict(network.module.named_modules())
        if len(modules) == 1 and network.head is None:
            raise UnsupportedError(
                f"{network.name} has no layers with names.",
                given=type(network.module).__name__,
                expected="a network made of modules, or the objective 'classifier', which measures the outputs",
            )
        if layer is None:
            if network.head is None:
                raise UnsupportedError(
                    f"{network.name} has no single final layer.",
                    expected="LAYER.INDEX",
                    hint=f"e.g. {list(modules)[-1]}.0",
                )
            return cls(network, "pre-logits", modules[network.head], before=True)
        if layer not in modules or not layer:
            raise unknown_name(f"layer of {network.name}", layer, [name for name in modules if name])
        return cls(network, layer, modules[layer])

    def read(self, inputs: Tensor) -> Any:
        """Read the value for these inputs; later layers are not computed."""

        def stop(value: Any) -> None:
            raise _Reached(sole_tensor(value))

        handle = self._hook(stop)
        try:
            self.network.module(inputs)
        except _Reached as reached:
            return reached.output
        finally:
            handle.remove()
        raise UnsupportedError(f"{self.network.name} never calls its layer {self.name}.", given=self.name)

    @torch.no_grad()
    def read_all(self, inputs: Tensor) -> list[Any]:
        """Read the value at every call of the layer during a whole forward pass, without gradients."""
        values: list[Any] = []
        handle = self._hook(lambda value: values.append(sole_tensor(value)))
        try:
            self.network.module(inputs)
        finally:
            handle.remove()
        return values

    def _hook(self, receive: Callable[[Any], None]) -> RemovableHandle:
        if self.before:
            return self.module.register_forward_pre_hook(
                lambda _module, arguments, named: receive(next(iter((*arguments, *named.values())))), with_kwargs=True
            )
        return self.module.register_forward_hook(lambda _module, _arguments, output: receive(output))


def sole_tensor(output: Any) -> Any:
    """The tensor of an output that consists of nothing else, as attention returns its values with weights of None."""
    parts = list(output.values()) if isinstance(output, Mapping) else output
    given = [part for part in parts if part is not None] if isinstance(parts, Sequence) else []
    return given[0] if len(given) == 1 and isinstance(given[0], Tensor) else output


@torch.no_grad()
def describe_layers(network: Network) -> list[Layer]:
    """List every layer that a forward pass calls, in the order of the network's own listing."""
    shapes: dict[str, tuple[int, ...] | None] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _arguments: Any, output: Any) -> None:
            value = sole_tensor(output)
            shapes[name] = tuple(value.shape[1:]) if isinstance(value, Tensor) else None

        return hook

    modules = {name: module for name, module in network.module.named_modules() if name}
    handles = [module.register_forward_hook(note(name)) for name, module in modules.items()]
    try:
        network.module(network.probe(1))
    finally:
        for handle in handles:
            handle.remove()
    return [Layer(name, _type(modules[name]), shapes[name]) for name in modules if name in shapes]


def _type(module: nn.Module) -> str:
    """Name of a module's class, in TorchScript that of the class it was made of."""
    return str(getattr(module, "original_name", type(module).__name__))
