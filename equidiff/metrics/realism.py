"""Realism: distances of a set of samples from a reference, in a space of features `[rows, size]`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.metrics.intervals import Pair, bootstrap_interval
from equidiff.types import PerSample

Features = Float[Tensor, "rows size"]
BLOCK = 4096  # rows
Kernel = Callable[[Features, Features], Float[Tensor, "rows others"]]


def distances(features: Features, others: Features) -> Float[Tensor, "rows others"]:
    """Euclidean distances, float64."""
    mode, others = "donot_use_mm_for_euclid_dist", others.double()
    # by differences: the usual expansion loses half of the digits if rows are close. A few rows at a time, since their
    # doubles take twice the memory
    blocks = [torch.cdist(rows.double(), others, compute_mode=mode) for rows in features.split(BLOCK)]
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def nearest_distances(features: Features, reference: Features) -> PerSample:
    """Distance of each row to the nearest row of the reference."""
    return distances(features, reference).amin(dim=1)


def percentiles(values: PerSample, among: Float[Tensor, " others"]) -> PerSample:
    """Percentage of the other values that are below each value; equal ones count half.

    For values from the distribution of the others, the mean is 50.
    """
    below = (among[None] < values[:, None]).double() + 0.5 * (among[None] == values[:, None]).double()
    return 100 * below.mean(dim=1)


def mean_percentile_interval(values: PerSample, among: Float[Tensor, " others"], seed: int = 0) -> Pair:
    """Bootstrap interval of the mean of `percentiles`; values and others are both resampled."""
    below = (values[:, None] > among[None]).double() + 0.5 * (values[:, None] == among[None]).double()
    scale = 100 / below.numel()
    return bootstrap_interval(lambda a, b: scale * (a @ below * b).sum(dim=1), *below.shape, seed=seed)


def polynomial_kernel(features: Features, others: Features) -> Float[Tensor, "rows others"]:
    """Kernel (a . b / size + 1)^3, that of the kernel Inception distance.

    References:
        Binkowski et al. (2018), "Demystifying MMD GANs", section 3.1.
    """
    return (features.double() @ others.double().T / features.shape[1] + 1) ** 3


def gaussian_kernel(bandwidth: float) -> Kernel:
    """Make the kernel exp(-|a - b|^2 / (2 bandwidth^2))."""
    return lambda features, others: (-0.5 * (distances(features, others) / bandwidth).square()).exp()


def median_distance(features: Features) -> float:
    """Median distance between two different rows: the usual bandwidth of a Gaussian kernel.

    References:
        Gretton et al. (2012), "A Kernel Two-Sample Test", section 8.
    """
    rows, columns = torch.triu_indices(len(features), len(features), offset=1)
    return distances(features, features)[rows, columns].median().item()


@dataclass(frozen=True, eq=False)
class KernelDistance:
    """Unbiased squared maximum mean discrepancy of two sets, from the kernels that it needs.

    Its mean is 0 if both sets are from one distribution, so it may be negative.

    Attributes:
        within: kernel between the rows of the set.
        reference: kernel between the rows of the reference.
        between: kernel between both.

    References:
        Gretton et al. (2012), "A Kernel Two-Sample Test", eq. 3.
    """

    within: Float[Tensor, "rows rows"]
    reference: Float[Tensor, "others others"]
    between: Float[Tensor, "rows others"]

    @classmethod
    def of(cls, features: Features, reference: Features, kernel: Kernel) -> KernelDistance:
        """Evaluate a kernel on two sets of at least 2 rows."""
        return cls(kernel(features, features), kernel(reference, reference), kernel(features, reference))

    @property
    def value(self) -> float:
        """Distance of the two sets."""
        rows, others = (torch.ones(1, count, dtype=torch.float64) for count in self.between.shape)
        return self.weighted(rows, others).item()

    def weighted(self, rows: Tensor, others: Tensor) -> Float[Tensor, " resamples"]:
        """Distance of resampled sets; see `resampling_weights`."""
        across = (rows @ self.between * others).sum(dim=1) / (rows.sum(dim=1) * others.sum(dim=1))
        return mean_of_pairs(self.within, rows) + mean_of_pairs(self.reference, others) - 2 * across

    def interval(self, seed: int = 0) -> Pair:
        """Bootstrap interval of the distance; both sets are resampled."""
        return bootstrap_interval(self.weighted, *self.between.shape, seed=seed)

    def excess_interval(self, prior: KernelDistance, seed: int = 0) -> Pair:
        """Interval of this distance minus that of prior samples from the same reference; all three are resampled."""
        return bootstrap_interval(
            lambda rows, others, control: self.weighted(rows, others) - prior.weighted(control, others),
            *self.between.shape,
            len(prior.within),
            seed=seed,
        )


def mean_of_pairs(values: Float[Tensor, "rows rows"], weights: Float[Tensor, "resamples rows"]) -> Tensor:
    """Mean over pairs of two different rows, in each resample."""
    different = values - torch.diag(values.diagonal())
    pairs = weights.sum(dim=1).square() - weights.square().sum(dim=1)
    return (weights @ different * weights).sum(dim=1) / pairs


def kernel_distance(features: Features, reference: Features, kernel: Kernel = polynomial_kernel) -> float:
    """Unbiased squared maximum mean discrepancy; with the default kernel and Inception's features, KID.

    Args:
        features: at least 2 rows.
        reference: at least 2 rows.
        kernel: `polynomial_kernel`, `gaussian_kernel(...)` or another.
    """
    return KernelDistance.of(features, reference, kernel).value


def frechet_distance(
    mean: Float[Tensor, " size"],
    covariance: Float[Tensor, "size size"],
    other_mean: Float[Tensor, " size"],
    other_covariance: Float[Tensor, "size size"],
) -> float:
    """Squared Wasserstein-2 distance of two normal distributions; of Inception's features, FID.

    An estimate from few samples is biased upwards: below some 10,000, by more than the distance itself.

    References:
        Heusel et al. (2017), "GANs Trained by a Two Time-Scale Update Rule", eq. 6.
        Chong and Forsyth (2020), "Effectively Unbiased FID and Inception Score".
    """
    product = covariance.double() @ other_covariance.double()
    # the eigenvalues of a product of two covariances are real and at least 0, up to rounding
    root_trace = torch.linalg.eigvals(product).real.clamp(min=0).sqrt().sum()
    traces = covariance.double().trace() + other_covariance.double().trace()
    return float((mean.double() - other_mean.double()).square().sum() + traces - 2 * root_trace)


def frechet_from_features(features: Features, reference: Features) -> float:
    """`frechet_distance` of the means and covariances of two sets of at least 2 rows."""
    statistics = [
        each
        for rows in (features.double(), reference.double())
        for each in (rows.mean(dim=0), torch.cov(rows.T).reshape(rows.shape[1], -1))
    ]
    value = frechet_distance(*statistics)
    return 0.0 if math.isclose(value, 0.0, abs_tol=1e-9) else value
