"""Captum's infidelity and maximum sensitivity.

References:
    Yeh et al. (2019), "On the (In)fidelity and Sensitivity of Explanations". https://arxiv.org/abs/1901.09392
"""

from __future__ import annotations

import torch
from captum.metrics import infidelity, sensitivity_max
from torch import Tensor

from equidiff.builtin.attributions.cells import window_side
from equidiff.contracts import Attribution, ScalarTarget
from equidiff.numerics.attributions import explain, flatten_channels, seeded
from equidiff.types import Attributions, Samples

SQUARES = 32  # blacked out in each sample, one at a time
NEIGHBOURS = 10  # perturbed copies of each sample
RADIUS = 0.02  # largest change of a pixel in a neighbour


def measure_infidelity(
    local: bool, scalar: ScalarTarget, sample: Samples, attributions: Attributions, seed: int
) -> float:
    """Measure how badly a map predicts the effect of blacking out a square, in squared units of the measurement.

    This is the paper's "square removal". A local map predicts the sum of its values times the change of each pixel, any
    other map the sum of its values in the square. The map is first scaled to fit best (Captum's `normalize`), since
    many methods have no scale of their own.

    Args:
        local: see `Attribution`.
        scalar: the measurement to explain.
        sample: `[1, channels, height, width]`.
        attributions: of the sample, `[1, channels or 1, height, width]`.
        seed: the same seed chooses the same squares.
    """
    # drawn all at once: they must not depend on the batch
    remaining = list(_squares(sample, SQUARES, torch.Generator().manual_seed(seed)))
    values = attributions.to(sample.device)
    if len(values[0]) != len(sample[0]):
        values = values.expand_as(sample) / (1 if local else len(sample[0]))

    def cover(rows: Tensor) -> tuple[Tensor, Tensor]:
        squares = torch.stack([remaining.pop() for _ in rows])
        return (squares * rows if local else squares), rows * (1 - squares)

    result = infidelity(
        scalar,
        cover,
        sample,
        values,
        n_perturb_samples=SQUARES,
        max_examples_per_batch=min(scalar.batch, SQUARES),
        normalize=True,
    )
    # a sum of three terms that may cancel to a little below zero
    return max(0.0, float(result))


def measure_sensitivity(
    method: Attribution, scalar: ScalarTarget, sample: Samples, seed: int, latent: Tensor | None = None
) -> float:
    """Measure the largest change of a map, relative to its norm, when each pixel moves by up to `RADIUS`.

    Args:
        method: called for every neighbour, with the same random numbers if it draws any.
        scalar: the measurement to explain.
        sample: `[1, channels, height, width]`.
        seed: the same seed makes the same neighbours.
        latent: of the sample, which stands for its neighbours too, `[*latent_shape]`; None where it is not known.
    """

    def maps(rows: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # Captum passes a tuple first, then tensors, and expects a tuple each time
        batch = rows if isinstance(rows, Tensor) else rows[0]
        count = len(batch)
        found = explain(method, scalar, batch, [seed] * count, latents=[latent] * count)
        return (flatten_channels(found).to(batch.device),)

    with seeded(seed):
        value = sensitivity_max(
            maps,
            sample,
            perturb_radius=RADIUS,
            n_perturb_samples=NEIGHBOURS,
            max_examples_per_batch=min(scalar.batch, NEIGHBOURS),
        )
    return float(value)


def _squares(sample: Samples, count: int, stream: torch.Generator) -> Tensor:
    """Masks of squares at random places: ones inside, zeros elsewhere, `[count, channels, height, width]`."""
    side = window_side(sample)
    down, across = (_intervals(length, min(side, length), count, stream) for length in sample.shape[2:])
    squares = down[:, None, :, None] & across[:, None, None, :]
    return squares.to(sample).expand(-1, sample.shape[1], -1, -1)


def _intervals(length: int, side: int, count: int, stream: torch.Generator) -> Tensor:
    starts = torch.randint(length - side + 1, (count, 1), generator=stream)
    places = torch.arange(length)
    return (places >= starts) & (places < starts + side)
