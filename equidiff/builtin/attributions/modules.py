"""A look inside networks as they measure: the modules that are called, and the pixels that they see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from equidiff.contracts import ScalarTarget
from equidiff.errors import UnsupportedError, unknown_name
from equidiff.types import Samples


def called_modules(scalar: ScalarTarget, samples: Samples) -> list[tuple[str, nn.Module, Any]]:
    """List the modules without children that a measurement calls, in order: name in its network, module, output."""
    calls: list[tuple[str, nn.Module, Any]] = []

    def note(name: str, module: nn.Module) -> Callable[..., None]:
        return lambda _module, _arguments, output: calls.append((name, module, output))

    handles = [
        module.register_forward_hook(note(name, module))
        for network in scalar.networks
        for name, module in network.named_modules()
        if not any(module.children())
    ]
    try:
        with torch.no_grad():
            scalar(samples[:1])
    finally:
        for handle in handles:
            handle.remove()
    return calls


def require_modules(scalar: ScalarTarget, samples: Samples, kind: type[nn.Module], method: str) -> None:
    """Refuse a measurement that calls no module of this kind: the method would silently change nothing.

    Raises:
        UnsupportedError: it does not.
    """
    if not any(isinstance(module, kind) for _, module, _ in called_modules(scalar, samples)):
        raise UnsupportedError(
            f"{method} replaces the gradients of {kind.__name__} modules, and this measurement calls none.",
            given=_describe(scalar, samples),
            expected=f"an objective whose network has {kind.__name__} modules",
        )


def require_single_use(scalar: ScalarTarget, samples: Samples, kinds: tuple[type[nn.Module], ...], method: str) -> None:
    """Refuse networks that call a non-linear module more than once: the method keeps one pair of values for each.

    Raises:
        UnsupportedError: the objective names no network, or its network reuses such a module.
    """
    if not len(scalar.networks):
        raise UnsupportedError(
            f"{method} looks inside the network, and this objective does not say which network it uses.",
            expected="an objective with networks()",
        )
    uses = Counter(name for name, module, _ in called_modules(scalar, samples) if isinstance(module, kinds))
    reused = [name for name, count in uses.items() if count > 1]
    if reused:
        raise UnsupportedError(
            f"{method} cannot handle a module that is called more than once.",
            given=", ".join(reused[:3]),
            expected="a separate module for each non-linearity",
        )


def find_layer(scalar: ScalarTarget, samples: Samples, name: str | None) -> nn.Module:
    """Find a layer of feature maps: the one of this name, or the last convolution that is called.

    A normalization and a non-linearity that follow the convolution and keep its shape belong to it.

    Raises:
        UnknownNameError: there is no such layer.
        UnsupportedError: the measurement calls no convolution.
    """
    if name is not None:
        layers = {key: module for network in scalar.networks for key, module in network.named_modules() if key}
        if name not in layers:
            raise unknown_name("layer", name, layers)
        return layers[name]
    calls = [
        (module, tuple(output.shape))
        for _, module, output in called_modules(scalar, samples)
        if isinstance(output, Tensor)
    ]
    convolutions = [
        place
        for place, (module, shape) in enumerate(calls)
        if isinstance(module, nn.Conv2d) and len(shape) == 4 and shape[2:] != (1, 1) and not _cuts_patches(module)
    ]
    if not convolutions:
        raise UnsupportedError(
            "Grad-CAM needs feature maps of a convolution, and this measurement calls none (patch embeddings aside).",
            given=_describe(scalar, samples),
            expected="an objective whose network has convolutions, or layer=NAME of a layer with feature maps",
        )
    first = convolutions[-1]
    following = takewhile(lambda call: call[1] == calls[first][1], calls[first:])
    return [module for module, _ in following][-1]


def _cuts_patches(module: nn.Conv2d) -> bool:
    """Recognize the patch embedding of a transformer and the like: convolutions in name only."""
    return all(1 < size <= step for size, step in zip(module.kernel_size, module.stride, strict=True))


def seen_box(scalar: ScalarTarget, samples: Samples) -> tuple[int, int, int, int]:
    """Box of the pixels that the network sees after the objective's crop: top, bottom, left, right.

    A feature map covers these, not the whole sample. The network's input depends on these pixels only.
    """
    inputs: list[Tensor] = []

    def note(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
        inputs.extend(each for each in arguments if isinstance(each, Tensor) and each.ndim == 4)

    handles = [network.register_forward_pre_hook(note) for network in scalar.networks]
    try:
        with torch.enable_grad():
            row = samples[:1].detach().clone().requires_grad_()
            scalar(row)
            depends = [each for each in inputs if each.requires_grad]
            gradient = torch.autograd.grad(depends[0].sum(), row)[0] if depends else torch.ones_like(row)
    finally:
        for handle in handles:
            handle.remove()
    seen = (gradient != 0).any(dim=1)[0]
    rows, columns = seen.any(dim=1).nonzero().flatten().tolist(), seen.any(dim=0).nonzero().flatten().tolist()
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def _describe(scalar: ScalarTarget, samples: Samples) -> str:
    if not len(scalar.networks):
        return "an objective that does not say which network it uses"
    names = sorted({type(module).__name__ for _, module, _ in called_modules(scalar, samples)})
    return f"a network of {', '.join(names)}"
