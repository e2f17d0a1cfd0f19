"""Steps that the sources of networks share."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from equidiff.errors import PluginError, UnsupportedError, first_line
from equidiff.networks.in_memory import first_channels
from equidiff.networks.network import Network
from equidiff.networks.preprocessing import Preprocessing, check_preparation
from equidiff.networks.request import Request
from equidiff.networks.sources.scripted import Scripted
from equidiff.types import Samples

DEFAULT_SIDE = 224
CLASS_TOKENS = ("cls_token", "class_embedding", "class_token")  # names of parameters


def require(package: str, extra: str, model: str) -> ModuleType:
    """Import an optional library.

    Args:
        package: its name in Python.
        extra: the extra of EquiDiff that installs it.
        model: the network that was asked for, for the error.

    Raises:
        PluginError: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise PluginError(
            f"This network needs {package}, which cannot be imported: {first_line(error)}",
            given=f"model={model}",
            hint=f'pip install "equidiff[{extra}]"',
        ) from error


def normalize(samples: Samples, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Subtract the mean and divide by the standard deviation of each channel, without reading values."""
    centre, scale = (samples.new_tensor(values)[:, None, None] for values in (mean, std))
    return (samples - centre) / scale


def per_channel(value: float | Sequence[float] | None, own: Sequence[float]) -> list[float]:
    """A value for each channel: the one that the user gave, or the network's own."""
    if value is None:
        return [float(each) for each in own]
    return [float(value)] * len(own) if isinstance(value, int | float) else [float(each) for each in value]


def finish(network: Network) -> Network:
    """Freeze a network, try it on noise, and find its final linear layer.

    Raises:
        PluginError: its preprocessing cannot be used by a search.
        UnsupportedError: it cannot take its own inputs, or gives another result when it is called again.
    """
    network.module.eval().requires_grad_(False).float().to(network.device)
    with torch.enable_grad():
        check_preparation(network.prepare, network.sample_shape, network.device)
    inputs = network.prepare(_noise(network))
    if isinstance(network.module, Scripted):
        network.module.settle(inputs)
    first, second = _run(network, inputs), _run(network, inputs)
    if not _same(first, second):
        raise UnsupportedError(
            f"{network.name} gives another result when it is called again.",
            given=type(network.module).__name__,
            expected="a network without randomness; one for masked autoencoding masks patches at random",
        )
    return replace(network, head=find_head(network)) if network.classifies else network


@torch.no_grad()
def find_head(network: Network) -> str | None:
    """Dotted name of the linear layer whose output the network returns; None if there is no such layer."""
    outputs: dict[int, str] = {}
    kept: list[Tensor] = []  # so that no other tensor gets the same id

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _arguments: Any, output: Tensor) -> None:
            kept.append(output)
            outputs[id(output)] = name

        return hook

    linear = [(name, module) for name, module in network.module.named_modules() if _is_linear(module)]
    handles = [module.register_forward_hook(note(name)) for name, module in linear]
    try:
        logits = network.logits(network.probe(1))
    finally:
        for handle in handles:
            handle.remove()
    return outputs.get(id(logits))


def _is_linear(module: nn.Module) -> bool:
    """Tell if a module is a linear layer, or was one before it was scripted or exported."""
    if isinstance(module, nn.Linear) or getattr(module, "original_name", None) == "Linear":
        return True
    own = dict(module.named_parameters(recurse=False))
    return type(module).__name__ == "InterpreterModule" and "weight" in own and own["weight"].ndim == 2


def _noise(network: Network) -> Tensor:
    noise = torch.rand(1, *network.sample_shape, generator=torch.Generator().manual_seed(0))
    return noise.to(network.device)


@torch.no_grad()
def _run(network: Network, inputs: Tensor) -> Any:
    try:
        return network.module(inputs)
    except Exception as error:  # whatever the network's own code raises
        raise UnsupportedError(
            f"{network.name} cannot be run on images: {first_line(error)}",
            given=f"inputs of shape {tuple(inputs.shape)}",
            expected="a network whose only input is a batch of images",
        ) from error


def _same(first: Any, second: Any) -> bool:
    pairs = zip(_tensors(first), _tensors(second), strict=True)
    return all(torch.allclose(one, other, rtol=1e-3, atol=1e-5, equal_nan=True) for one, other in pairs)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif hasattr(value, "values"):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            yield from _tensors(part)


def assemble(
    request: Request,
    module: nn.Module,
    preprocess: Callable[[Tensor], Any] | None = None,
    shape: tuple[int, ...] | None = None,
    channels: int | None = None,
) -> Network:
    """Make a network of a module whose preprocessing the user describes.

    Args:
        request: its size, mean and std are the preprocessing.
        module: the network.
        preprocess: maps samples to inputs, in place of size, mean and std.
        shape: of one input, where it is known; else that of the generator's samples, or of 224 x 224 pixels.
        channels: of the images; by default those of the shape or of the first convolution.

    Raises:
        UsageError: the options cannot be used.
        PluginError: the preprocessing cannot be used by a search.
        UnsupportedError: the module cannot take its inputs.
    """
    size = request.size or (shape[1:] if shape is not None and len(shape) == 3 else None)
    own = Preprocessing.of(size, request.mean, request.std, preprocess)
    if preprocess is None:
        known = channels or (shape[0] if shape and len(shape) == 3 else first_channels(module))
        own = replace(own, channels=own.channels or known)
    generator = request.context.generator
    if own.size is None and generator is not None:
        sample_shape = tuple(generator.sample_shape)
    else:
        sample_shape = shape or (own.channels or 3, *(own.size or (DEFAULT_SIDE, DEFAULT_SIDE)))
    network = Network(
        module,
        request.model,
        request.context.device,
        sample_shape,
        own.prepare,
        resizes=own.size is not None,
    )
    return finish(network)
