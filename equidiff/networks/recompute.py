"""Recomputing a network's blocks in the backward pass, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute_blocks(network: nn.Module, kinds: tuple[type[nn.Module], ...]) -> None:
    """Make each block of these kinds keep its input alone for the backward pass, in which it is computed again.

    One checkpoint around the whole network would compute it again as a whole, and so hold all of its tensors at once;
    here only those of one block are there at any time. Forward passes without a graph are as before.

    Args:
        network: changed in place; it draws no random numbers.
        kinds: classes of its blocks, none of them within another.
    """
    for module in network.modules():
        if isinstance(module, kinds):
            module.forward = partial(_recomputed, module.forward)


def _recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
