"""Captum's infidelity and maximum sensitivity.

References:
    Yeh et al. (2019), "On the (In)fidelity and Sensitivity of Explanations". https://arxiv.org/abs/1901.09392
"""

from __future__ import annotations

import torch
from captum.metrics import infidelity, sensitivity_max
from torch import Tensor

from equidiff.analysis.compare.maps import explain, flatten_channels, seeded
from equidiff.contracts import Attribution, ScalarTarget
from equidiff.types import Attributions, Samples

SQUARES = 32  # that are covered of each sample
SHARE = 4  # of the sample's shorter side: a square's side is one in four
NEIGHBOURS = 10  # around each sample
RADIUS = 0.02  # how far a pixel of a neighbour may be off


def measure_infidelity(
    local: bool, scalar: ScalarTarget, sample: Samples, attributions: Attributions, seed: int
) -> float:
    """How far a map is from foretelling what covering a square does, in squared units of the measurement.

    Squares are covered with black ("square removal" of the paper). A local map foretells with its values times the
    change of each pixel, any other with the sum of its values in the square. The map is scaled as suits it best
    (Captum's `normalize`), since many methods give no scale.

    Args:
        local: see `Attribution`.
        scalar: the measurement to explain.
        sample: `[1, channels, height, width]`.
        attributions: of the sample, `[1, channels or 1, height, width]`.
        seed: the same seed covers the same squares.
    """
    # all of them at once: which they are must not depend on how many fit into a pass
    rest = list(_squares(sample, SQUARES, torch.Generator().manual_seed(seed)))
    spread = attributions.to(sample.device)
    if len(spread[0]) != len(sample[0]):
        spread = spread.expand_as(sample) / (1 if local else len(sample[0]))

    def cover(rows: Tensor) -> tuple[Tensor, Tensor]:
        squares = torch.stack([rest.pop() for _ in rows])
        return (squares * rows if local else squares), rows * (1 - squares)

    value = infidelity(
        scalar,
        cover,
        sample,
        spread,
        n_perturb_samples=SQUARES,
        max_examples_per_batch=min(scalar.batch, SQUARES),
        normalize=True,
    )
    # a sum of three terms that may cancel
    return max(0.0, float(value))


def measure_sensitivity(method: Attribution, scalar: ScalarTarget, sample: Samples, seed: int) -> float:
    """How much the map changes at worst, relative to its length, when each pixel moves by up to `RADIUS`.

    Args:
        method: asked again for every neighbour; with the same random numbers, where it draws some.
        scalar: the measurement to explain.
        sample: `[1, channels, height, width]`.
        seed: the same seed makes the same neighbours.
    """

    def maps(rows: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # Captum asks with a tuple first, then with a tensor, and wants a tuple each time
        batch = rows if isinstance(rows, Tensor) else rows[0]
        return (flatten_channels(explain(method, scalar, batch, [seed] * len(batch))).to(batch.device),)

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
    """Squares at random places: ones inside, zeros elsewhere, `[count, channels, height, width]`."""
    height, width = sample.shape[2:]
    side = max(1, min(height, width) // SHARE)
    down, across = (_intervals(length, side, count, stream) for length in (height, width))
    squares = down[:, None, :, None] & across[:, None, None, :]
    return squares.to(sample).expand(-1, sample.shape[1], -1, -1)


def _intervals(length: int, side: int, count: int, stream: torch.Generator) -> Tensor:
    starts = torch.randint(length - side + 1, (count, 1), generator=stream)
    places = torch.arange(length)
    return (places >= starts) & (places < starts + side)
