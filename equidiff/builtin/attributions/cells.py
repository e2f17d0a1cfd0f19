"""The cells of a grid, and linear models of the measurement over them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from captum.attr import Lime
from torch import Tensor

from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.descriptors import RegressionOptions
from equidiff.contracts import ScalarTarget
from equidiff.errors import UnsupportedError
from equidiff.types import Samples

WINDOWS_PER_SIDE, WINDOWS_PER_ROW = 4, 16


def cell_regression(method: Callable[[ScalarTarget, Samples], Lime], options: RegressionOptions) -> Captum:
    """Build a method that fits a linear model of the measurement to copies of a sample with some cells replaced."""

    def compute(scalar: ScalarTarget, samples: Samples) -> Tensor:
        mask = grid(samples, options.cells)
        rows = [
            # one by one, as Captum requires: each sample has its own linear model
            method(scalar, row).attribute(
                row,
                baselines=options.baseline,
                feature_mask=mask,
                n_samples=options.samples,
                perturbations_per_eval=scalar.batch,
            )
            for row in samples.split(1)
        ]
        return torch.cat(rows)

    return Captum(compute, random=True, spatial=True)


def grid(samples: Samples, cells: int) -> Tensor:
    """Index of the cell that each pixel belongs to, `[1, 1, height, width]`; cells are as equal as pixels allow.

    A sound, or a row of a table, is a row of places, and has as many cells in a row as an image has in all, or as many
    as it has places.

    Raises:
        UnsupportedError: there are more cells than pixels along a side.
    """
    height, width = samples.shape[2:]
    if height == 1:
        return (torch.arange(width, device=samples.device) * min(cells**2, width) // width)[None, None, None]
    if cells > min(height, width):
        raise UnsupportedError(
            "The grid has more cells than pixels along a side.",
            given=f"cells={cells}",
            expected=f"at most {min(height, width)}",
        )
    rows, columns = (torch.arange(side, device=samples.device) * cells // side for side in (height, width))
    return (rows[:, None] * cells + columns[None])[None, None]


def window_side(samples: Samples) -> int:
    """Pixels along a window that is a part of a sample: a quarter of the shorter side, a sixteenth of a row."""
    height, width = samples.shape[2:]
    return max(1, width // WINDOWS_PER_ROW if height == 1 else min(height, width) // WINDOWS_PER_SIDE)


def copies_per_pass(scalar: ScalarTarget, samples: Samples) -> int:
    """Changed copies of each sample that fit into one pass together."""
    return max(1, scalar.batch // len(samples))
