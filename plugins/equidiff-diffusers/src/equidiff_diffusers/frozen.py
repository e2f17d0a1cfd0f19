"""Networks of a pipeline, frozen: copies that share the weights, and leave the pipeline as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

FEWEST_AXES = 2  # of a tensor that a network gets in its own precision; times and scales keep theirs
UNTOUCHED = ("ids", "time", "pos", "rotary", "freqs", "mask")  # parts of the names of arguments that keep theirs too


def freeze(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose parameters share their memory with the module's, and need no gradient."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach(), False) if parameter.requires_grad else parameter
    memo |= {id(buffer): buffer for buffer in module.buffers()}
    return copy.deepcopy(module, memo).eval()


def with_method(module: nn.Module, name: str, method: Callable[..., Any]) -> nn.Module:
    """A shallow copy with another method."""
    changed = copy.copy(module)
    changed.__dict__[name] = method
    return changed


def precision(module: nn.Module) -> torch.dtype:
    """Precision of the module's weights: that of most of them."""
    sizes: dict[torch.dtype, int] = {}
    for parameter in module.parameters():
        if parameter.is_floating_point():
            sizes[parameter.dtype] = sizes.get(parameter.dtype, 0) + parameter.numel()
    return max(sizes, key=lambda dtype: sizes[dtype]) if sizes else torch.float32


def narrowed(function: Callable[..., Any], dtype: torch.dtype) -> Callable[..., Any]:
    """The function with inputs in another precision, and with outputs in float32."""
    if dtype == torch.float32:
        return function

    def run(*args: Any, **kwargs: Any) -> Any:
        args = tuple(_cast(value, dtype) for value in args)
        kwargs = {
            name: value if any(part in name for part in UNTOUCHED) else _cast(value, dtype)
            for name, value in kwargs.items()
        }
        return _cast(function(*args, **kwargs), torch.float32)

    return run


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() and value.ndim >= FEWEST_AXES else value
    if isinstance(value, Mapping):
        cast = {
            name: each if any(part in name for part in UNTOUCHED) else _cast(each, dtype)
            for name, each in value.items()
        }
        return type(value)(**cast)
    return type(value)(_cast(each, dtype) for each in value) if isinstance(value, (list, tuple)) else value


def recomputed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function that draws no noise, and keep for the backward pass only its inputs."""
    if not torch.is_grad_enabled():
        return function(*args, **kwargs)
    return checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
