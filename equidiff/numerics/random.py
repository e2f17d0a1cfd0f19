"""Draws from the prior: streams of random numbers that depend on their key alone, on every device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from equidiff.contracts import Generator


def stream(*key: int) -> torch.Generator:
    """The random stream of a key, on the CPU. A key that is longer or shorter is another one."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> 1))


def plain_latents(generator: Generator, count: int, seed: int, number: int) -> Tensor:
    """Latents of plain samples, `[count, *latent_shape]`; row i depends on `(seed, number, i)` alone.

    None of them is a latent that a run with this seed started from or looked at: those have streams of their own.

    Args:
        generator: whose latents.
        count: how many.
        seed: of the run.
        number: tells those who draw apart.
    """
    # five numbers: a run's samples have two, its decks of plain samples four or five that end in 1
    rows = [torch.randn(1, *generator.latent_shape, generator=stream(seed, i, 0, 0, number)) for i in range(count)]
    return torch.cat(rows)
