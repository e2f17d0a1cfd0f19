"""Networks that exist in memory: any module of torch, frozen for a run without a change to the module itself."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace

import torch
from torch import Tensor, nn

from equidiff.contracts import Weights
from equidiff.errors import UnsupportedError, UsageError, first_line
from equidiff.networks.network import Network
from equidiff.networks.preprocessing import PROBES, Preprocessing, check_preparation


def check_module(module: object) -> None:
    """Refuse everything but a module.

    Raises:
        UsageError: it is something else.
    """
    if isinstance(module, nn.Module):
        return
    named = isinstance(module, str)
    raise UsageError(
        "This is not a network in memory.",
        given=repr(module) if named or isinstance(module, type) else type(module).__name__,
        expected="a torch.nn.Module",
        hint=f'objective="neuron:17,model={module}"' if named else None,
    )


def wrap_module(
    module: nn.Module,
    preprocessing: Preprocessing,
    shape: tuple[int, ...],
    device: str,
    names: tuple[tuple[str, ...], ...] | None = None,
) -> Network:
    """Make a network of a module, and run it once on samples of noise.

    Args:
        module: any module; see `freeze`.
        preprocessing: maps samples to its inputs.
        shape: of one sample.
        device: of the run.
        names: all names of every class.

    Raises:
        UnsupportedError: the module cannot be frozen, or cannot take the inputs.
        PluginError: the preprocessing cannot be used.
    """
    frozen = freeze(module, device)
    if preprocessing.channels is None and preprocessing.function is None:
        preprocessing = replace(preprocessing, channels=first_channels(frozen))

    check_preparation(preprocessing.prepare, shape, device)
    name = type(unwrap(module)).__name__
    network = Network(frozen, name, device, shape, preprocessing.prepare, names, resizes=preprocessing.size is not None)
    _try(network)
    return network


def unwrap(module: nn.Module) -> nn.Module:
    """The module that `torch.compile` wrapped, whose layers can be read; any other as it is."""
    return getattr(module, "_orig_mod", module)


@torch.no_grad()
def freeze(module: nn.Module, device: str) -> nn.Module:
    """The module in evaluation mode, in float32, on this device and without gradients of its parameters.

    That is a copy, and the module itself is left as it is: its mode, its device, its parameters. Only a module that is
    all this already is returned itself.

    Raises:
        UnsupportedError: it cannot be copied or moved.
    """
    module = unwrap(module)
    if _is_frozen(module, device):
        return module
    try:
        copied = copy.deepcopy(module)
        copied.zero_grad()  # gradients are copied too
        return copied.eval().requires_grad_(False).float().to(device)
    except Exception as error:  # whatever a module's own code or the device raises
        raise UnsupportedError(
            f"The network cannot be copied: {first_line(error)}",
            given=type(module).__name__,
            expected="a module that copy.deepcopy can copy, or one that needs no copy",
            hint=f'module.eval().requires_grad_(False).float().to("{device}"), which is then used itself',
        ) from error


def record(module: nn.Module) -> Weights:
    """Record of the module's weights: the name of its class, and a SHA-256 of its state."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return Weights(f"{type(unwrap(module)).__name__} in memory", digest.hexdigest())


def _is_frozen(module: nn.Module, device: str) -> bool:
    place = torch.empty(0, device=device).device
    tensors = [*module.parameters(), *module.buffers()]
    return (
        not any(each.training for each in module.modules())
        and not any(each.requires_grad for each in tensors)
        and all(each.device == place for each in tensors)
        and all(each.dtype == torch.float32 for each in tensors if each.is_floating_point())
    )


def first_channels(module: nn.Module) -> int | None:
    """Channels of the images that the module takes, by its first convolution; None where that does not tell."""
    first = next((each for each in module.modules() if isinstance(each, nn.Conv2d)), None)
    return first.in_channels if first is not None and first.in_channels in {1, 3} else None


def _try(network: Network) -> None:
    samples = torch.rand(PROBES, *network.sample_shape, generator=torch.Generator().manual_seed(0))
    inputs = network.prepare(samples.to(network.device))
    try:
        with torch.no_grad():
            network.module(inputs)
    except Exception as error:  # whatever the module's own code raises
        raise UnsupportedError(
            f"{network.name} cannot take these inputs: {first_line(error)}",
            given=f"inputs of shape {tuple(inputs.shape)}, made of samples of shape {network.sample_shape}",
            expected="inputs as the network was trained with",
            hint="size=224 resizes samples; mean and std of 1 or 3 numbers tell the channels; or preprocess=FUNCTION",
        ) from error
