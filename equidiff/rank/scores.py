"""Statistics of each unit of a layer, from its activations on many images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Statistics:
    """Statistics with one row for each unit. Sparsity and class means count negative activations as zero.

    Attributes:
        mean: mean activation.
        maximum: strongest activation.
        active: fraction of images with an activation above zero.
        sparsity: Treves-Rolls sparseness as Vinje and Gallant (2000) normalise it: 0 if all images activate the unit
            equally, 1 if only one image does. 0 for a unit that is never active.
        class_means: `[units, classes]`: mean activation of each class's images; no columns without labels.
        top_rows: `[units, top]`: the images that activate it most, strongest first.
        top_values: `[units, top]`: their activations.
    """

    mean: Float[Tensor, " units"]
    maximum: Float[Tensor, " units"]
    active: Float[Tensor, " units"]
    sparsity: Float[Tensor, " units"]
    class_means: Float[Tensor, "units classes"]
    top_rows: Int[Tensor, "units top"]
    top_values: Float[Tensor, "units top"]


@final
class _Sums:
    """Running sums over images, `[units]` each, in float64."""

    def __init__(self, units: int, classes: int, top: int) -> None:
        zeros = torch.zeros(units, dtype=torch.float64)
        self.total, self.positive, self.square, self.active = (zeros.clone() for _ in range(4))
        self.by_class = torch.zeros(classes, units, dtype=torch.float64)
        self.class_counts = torch.zeros(classes, dtype=torch.float64)
        self.count = 0
        self.top = top
        self.top_values = torch.zeros(0, units)
        self.top_rows = torch.zeros(0, units, dtype=torch.int64)

    def add(self, activations: Tensor, rows: Tensor, labels: Tensor) -> None:
        values = activations.double()
        rectified = values.clamp(min=0)
        self.count += len(values)
        self.total += values.sum(dim=0)
        self.positive += rectified.sum(dim=0)
        self.square += rectified.square().sum(dim=0)
        self.active += (values > 0).sum(dim=0)
        known = labels >= 0
        self.by_class.index_add_(0, labels[known], rectified[known])
        self.class_counts.index_add_(0, labels[known], torch.ones(int(known.sum()), dtype=torch.float64))
        self._keep_top(activations, rows)

    def _keep_top(self, activations: Tensor, rows: Tensor) -> None:
        values = torch.cat([self.top_values, activations])
        numbers = torch.cat([self.top_rows, rows[:, None].expand_as(activations)])
        # stable: of equal activations the first image stays first, however the images are split into chunks
        order = values.sort(dim=0, descending=True, stable=True).indices[: self.top]
        self.top_values, self.top_rows = values.gather(0, order), numbers.gather(0, order)


def summarize(
    chunks: Iterable[Float[Tensor, "images units"]], labels: Sequence[int | None], classes: int, top: int
) -> Statistics:
    """Summarise activations that arrive a few images at a time.

    Args:
        chunks: activations, in the order of the images; rows of NaN stand for images that could not be read.
        labels: class of each image.
        classes: number of classes.
        top: number of strongest images to keep for each unit.

    Raises:
        ValueError: there are no images.
    """
    sums: _Sums | None = None
    numbers = torch.tensor([-1 if label is None else label for label in labels])
    start = 0
    for chunk in chunks:
        rows = torch.arange(start, start + len(chunk))
        start += len(chunk)
        good = ~chunk[:, 0].isnan()
        sums = sums or _Sums(chunk.shape[1], classes, top)
        sums.add(chunk[good].float(), rows[good], numbers[rows[good]])
    if sums is None or sums.count == 0:
        raise ValueError("no image")
    return Statistics(
        mean=sums.total / sums.count,
        maximum=sums.top_values[0].double(),
        active=sums.active / sums.count,
        sparsity=_sparsity(sums.positive, sums.square, sums.count),
        class_means=(sums.by_class / sums.class_counts[:, None]).T,
        top_rows=sums.top_rows.T.contiguous(),
        top_values=sums.top_values.T.contiguous(),
    )


def _sparsity(positive: Tensor, square: Tensor, count: int) -> Tensor:
    if count == 1:
        return torch.zeros_like(positive)
    density = positive.square() / (count * square)
    return torch.where(square > 0, (1 - density) / (1 - 1 / count), 0.0).clamp(0, 1)


def selectivity(class_means: Float[Tensor, "units classes"]) -> Float[Tensor, "units classes"]:
    """Selectivity of each unit for each class against the others: (a - b) / (a + b), from -1 to 1.

    Here a is the mean activation of the class, and b the mean over the other classes' means. A unit that is never
    active has 0.

    Args:
        class_means: as in `Statistics`; NaN for a class without images, whose result is NaN, too.

    References:
        Morcos et al. (2018), "On the importance of single directions for generalization", eq. 1, there for each unit's
        best class. https://arxiv.org/abs/1803.06959
    """
    others = ((~class_means.isnan()).sum(dim=1, keepdim=True) - 1).clamp(min=1)
    rest = (class_means.nansum(dim=1, keepdim=True) - class_means) / others
    total = class_means + rest
    return torch.where(total == 0, 0.0, (class_means - rest) / total)


def entropy(strongest: Iterable[tuple[str, float]]) -> float | None:
    """Entropy, in bits, of the classes of a unit's strongest images, each weighted by its activation.

    It is 0 if all are of one class, and log2 of their number if each has a class of its own and all are equally strong.
    None for a unit that none of them activates.

    Args:
        strongest: the class and the activation of each image.
    """
    weights: dict[str, float] = {}
    for label, activation in strongest:
        weights[label] = weights.get(label, 0.0) + max(activation, 0.0)
    total = sum(weights.values())
    if total == 0:
        return None
    return -sum(weight / total * math.log2(weight / total) for weight in weights.values() if weight > 0) + 0.0
