"""Compute the maps of a method, so that they depend only on the seed and the sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor

from equidiff.contracts import Attribution, ScalarTarget
from equidiff.errors import PluginError
from equidiff.types import Attributions, Samples


@torch.enable_grad()  # Captum's sensitivity turns gradients off
def explain(
    method: Attribution,
    scalar: ScalarTarget,
    samples: Samples,
    seeds: Sequence[int],
    done: Callable[[int], None] = lambda _count: None,
    latents: Sequence[Tensor | None] | None = None,
) -> Attributions:
    """Compute attributions of samples by one method.

    Args:
        method: called with batches of `scalar.batch`, or sample by sample if it draws random numbers.
        scalar: the measurement to explain.
        samples: `[n, channels, height, width]`.
        seeds: one for each sample.
        done: called with the number of samples just done.
        latents: the latent of each sample, `[*latent_shape]`, where it is known; none is by default.

    Returns:
        `[n, channels, height, width]`, or one channel, on the CPU.

    Raises:
        UnsupportedError: the method does not fit.
        PluginError: the method returns something other than finite maps.
    """
    latents = latents or [None] * len(samples)
    parts: list[Tensor] = []
    for block in _blocks([each is not None for each in latents], 1 if method.random else scalar.batch):
        rows, known = samples[block], [each for each in latents[block] if each is not None]
        with seeded(seeds[block.start]) if method.random else nullcontext():
            if known:
                values = method.attribute_at(scalar, rows, torch.stack(known).to(rows.device))
            else:
                values = method.attribute(scalar, rows)
        parts.append(_checked(values, rows, method))
        done(len(rows))
    return torch.cat(parts)


def _blocks(known: Sequence[bool], most: int) -> Iterator[slice]:
    """Yield batches of rows that all have latents, or all lack them."""
    start = 0
    while start < len(known):
        limit = known[start : start + most]
        stop = start + (limit.index(not limit[0]) if (not limit[0]) in limit else len(limit))
        yield slice(start, stop)
        start = stop


def flatten_channels(attributions: Attributions) -> Tensor:
    """The map `[n, height, width]`: the sum over channels, which keeps sums and signs."""
    return attributions.sum(dim=1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's and numpy's global generators, and restore them afterwards."""
    before = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(before)


def seed_of(seed: int, number: int) -> int:
    """Seed for one sample of a run; the query has number -1."""
    return int(np.random.SeedSequence([seed, number + 1]).generate_state(1)[0])


def _checked(values: Tensor, samples: Samples, method: Attribution) -> Tensor:
    batch, channels, *sides = samples.shape
    shapes = {(batch, channels, *sides), (batch, 1, *sides)}
    if not isinstance(values, Tensor) or tuple(values.shape) not in shapes:
        raise PluginError(
            f"{type(method).__name__} does not return a map for each sample.",
            given=f"shape {tuple(getattr(values, 'shape', ()))}",
            expected=" or ".join(map(str, sorted(shapes))),
        )
    values = values.detach().float().cpu()
    if not values.isfinite().all():
        raise PluginError(f"{type(method).__name__} returns values that are not finite.", expected="finite values")
    return values
