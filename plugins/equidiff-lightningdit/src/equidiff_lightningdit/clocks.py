"""Clocks of transformers: the time that each is given, and the velocity that it answers with.

Here, time runs from noise (0) to data (1), and a velocity is `data - noise`. A consistency model such as FACM knows two
velocities: the flow's at a time, and the mean one from there to the end of the flow, which is reached in one step.

References:
    Peng et al. (2025), "Flow-anchored consistency models". https://arxiv.org/abs/2507.03738
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Ask = Callable[[Callable[..., Tensor], Tensor, Tensor, Tensor], Tensor]  # of transformer, latents, times and labels


@dataclass(frozen=True)
class Clock:
    """The time of a transformer.

    Attributes:
        flow: asks for the flow's velocity.
        mean: asks for the mean velocity to the end; None for transformers that do not know it.
    """

    flow: Ask
    mean: Ask | None = None


def _at(transformer: Callable[..., Tensor], latents: Tensor, times: Tensor, labels: Tensor) -> Tensor:
    return transformer(latents, times, labels)


def _from_data(transformer: Callable[..., Tensor], latents: Tensor, times: Tensor, labels: Tensor) -> Tensor:
    return -transformer(latents, 1 - times, labels)


def _beyond_the_end(transformer: Callable[..., Tensor], latents: Tensor, times: Tensor, labels: Tensor) -> Tensor:
    return transformer(latents, 2 - times, labels)


def _to_the_end(transformer: Callable[..., Tensor], latents: Tensor, times: Tensor, labels: Tensor) -> Tensor:
    return transformer(latents, times, labels, torch.ones_like(times))


FORWARD = Clock(_at)  # LightningDiT and SiT
REVERSED = Clock(_from_data)  # REPA
AUXILIARY = Clock(_at, _to_the_end)  # FACM with a second time, the end of the interval
EXPANDED = Clock(_beyond_the_end, _at)  # FACM without: the flow has the times from 1 (data) to 2 (noise)
