"""Checkpoints of timm's networks, fine-tuned ones too: their number of classes, and the names of other programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from equidiff.errors import WeightsError
from equidiff.networks.checkpoints import COUNTER, beneath_prefix, misfits, put_weights

Create = Callable[..., nn.Module]  # makes the network; takes num_classes
State = dict[str, Tensor]
FILTERS = ("checkpoint_filter_fn", "_filter_fn", "_filter_torchvision_pretrained")  # timm's names of them
WRONG_NETWORK = "model=NAME must name the architecture that the checkpoint was trained with"


def fill(create: Create, weights: Mapping[str, Tensor], path: Path, entrypoint: Callable[..., Any]) -> nn.Module:
    """Create a network that fits a checkpoint, and put the weights into it.

    Its number of classes is the checkpoint's: the one number for which all shapes agree. Names of other programs are
    translated as timm does for weights of its hub.

    Args:
        create: makes the network, by default with as many classes as its own pretrained weights have.
        weights: content of the checkpoint.
        path: its file, for the error.
        entrypoint: timm's function that makes the network, beside which its filter of checkpoints stands.

    Raises:
        WeightsError: the weights are not those of this architecture.
    """
    module = create()
    given = beneath_prefix(weights, module.state_dict())
    if misfits(module.state_dict(), given):
        count = _count_classes(create, weights)
        if count is not None and count != getattr(module, "num_classes", count):
            module = create(num_classes=count)
    own = module.state_dict()
    given = beneath_prefix(weights, own)
    if misfits(own, given):
        translated = _translated(create, module, given, entrypoint)
        if translated is not None:
            module, given = translated
    put_weights(module, given, path, hint=WRONG_NETWORK)
    return module


def fill_from_numpy(create: Create, path: Path) -> Any:
    """Create a network with weights of a JAX program, which some of timm's networks read themselves.

    Raises:
        WeightsError: this network does not, or the file does not have all of its tensors.
    """
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        heads = [archive[name].shape[-1] for name in archive.files if name.endswith(("head/bias", "head/conv2d/bias"))]
    module: Any = create(num_classes=heads[0]) if len(heads) == 1 else create()
    if not hasattr(module, "load_pretrained"):
        raise WeightsError(
            "This network cannot read a NumPy archive.",
            given=path,
            expected="a Vision Transformer, an MLP-Mixer or a BiT ResNet of timm, or a file of another format",
        )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(torch.nan)  # timm leaves what it does not find as it is
    try:
        module.load_pretrained(str(path))
    except (KeyError, ValueError, AssertionError, RuntimeError) as error:
        raise WeightsError(
            f"The NumPy archive does not fit the network: {error}", given=path, expected="its weights from JAX"
        ) from error
    missing = [name for name, value in module.named_parameters() if value.isnan().any()]
    if missing:
        raise WeightsError(
            f"The NumPy archive lacks {len(missing)} tensors of the network ({', '.join(missing[:3])}).",
            given=path,
            expected="the weights of this architecture",
            hint=WRONG_NETWORK,
        )
    return module


def _count_classes(create: Create, weights: Mapping[str, Tensor]) -> int | None:
    """The one number of classes for which all shapes agree; 0 for weights without a head, None if there is none."""
    few, more = (_shapes(create, count) for count in (2, 3))
    changing = {name for name in few.keys() & more.keys() if few[name] != more[name]}
    given = beneath_prefix(weights, few.keys() - changing)
    counts = {_solve(few[name], more[name], tuple(given[name].shape)) for name in changing & given.keys()}
    if not counts:
        body = {name for name in few.keys() - changing if not name.endswith(COUNTER)}
        return 0 if changing and body <= given.keys() else None
    return counts.pop() if len(counts) == 1 else None


def _solve(two: tuple[int, ...], three: tuple[int, ...], given: tuple[int, ...]) -> int | None:
    """Number of classes for which a tensor has the given shape, from its shapes for two and three classes."""
    if len(given) != len(two):
        return None
    found: set[int] = set()
    for low, high, size in zip(two, three, given, strict=True):
        if low == high:
            continue
        count, rest = divmod(size - low, high - low)
        if rest:
            return None
        found.add(2 + count)
    return found.pop() if len(found) == 1 and min(found) > 0 else None


def _shapes(create: Create, classes: int) -> dict[str, tuple[int, ...]]:
    try:
        with torch.device("meta"):
            module = create(num_classes=classes)
    except (RuntimeError, NotImplementedError):  # some networks look at numbers while they are made
        module = create(num_classes=classes)
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def _translated(
    create: Create, module: nn.Module, weights: State, entrypoint: Callable[..., Any]
) -> tuple[nn.Module, State] | None:
    """The network and the weights under its own names, if timm can translate them and they fit then."""
    translated = _filtered(module, weights, entrypoint)
    if translated is not None and misfits(module.state_dict(), translated):
        count = _count_classes(create, translated)
        if count is None:
            return None
        module = create(num_classes=count)
        translated = _filtered(module, weights, entrypoint)
    if translated is None or misfits(module.state_dict(), translated):
        return None
    # tables of positions that timm would stretch belong to another input size, thus to another network
    stretched = [key for key in weights.keys() & translated.keys() if weights[key].numel() != translated[key].numel()]
    return None if stretched else (module, translated)


def _filtered(module: nn.Module, weights: State, entrypoint: Callable[..., Any]) -> State | None:
    namespace = sys.modules[entrypoint.__module__]
    function = next((getattr(namespace, name) for name in FILTERS if hasattr(namespace, name)), None)
    if function is None:
        return None
    try:
        try:
            return dict(function(dict(weights), module))
        except TypeError:  # older ones take the weights alone
            return dict(function(dict(weights)))
    except Exception:  # made for weights of this architecture, they fail on others in any way
        return None
