"""Checks of the contract of a regularizer."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.contracts import Regularizer
from equidiff.testing.failure import Check, require, run_all
from equidiff.testing.numerics import check_gradient, check_map, check_tensor, check_values
from equidiff.types import Latents, Samples


def check_regularizer(regularizer: Regularizer, samples: Samples, latents: Latents) -> None:
    """Check that a regularizer keeps its contract.

    Views must keep the shape of the samples and penalties be at least 0; both must be deterministic, differentiable
    and independent of the other rows.

    Args:
        regularizer: the regularizer to check.
        samples: `[batch, *sample_shape]`, at least two.
        latents: `[batch, *latent_shape]`, as many.

    Raises:
        ContractError: the regularizer breaks its contract.
    """
    run_all(regularizer_checks(regularizer, samples, latents))


def regularizer_checks(regularizer: Regularizer, samples: Samples, latents: Latents) -> list[Check]:
    """The checks of a regularizer, by name; see `check_regularizer`."""
    name = type(regularizer).__name__
    return [
        Check("views, their rows and gradients", lambda: _check_views(regularizer, samples, name)),
        Check("penalties, their rows and gradients", lambda: _check_penalty(regularizer, samples, latents, name)),
    ]


def _check_views(regularizer: Regularizer, samples: Samples, name: str) -> None:
    require(isinstance(regularizer, Regularizer), f"{name} is not a Regularizer", "a subclass of equidiff.Regularizer")
    with torch.no_grad():
        views = regularizer.views(samples)
    require(isinstance(views, list), f"{name}.views gives a {type(views).__name__}", "a list, empty or not")
    for view in views:
        check_tensor(view, tuple(samples.shape), f"{name}.views")
    with torch.no_grad():
        alone = regularizer.views(samples[:1])
    problem = f"{name}.views gives {len(alone)} views of one sample and {len(views)} of many"
    require(len(alone) == len(views), problem, "the same number of views for every batch")
    for number in range(len(views)):

        def view(batch: Tensor, number: int = number) -> Tensor:
            return regularizer.views(batch)[number]

        check_map(view, samples, tuple(samples.shape[1:]), f"{name}.views, view {number},")


def _check_penalty(regularizer: Regularizer, samples: Samples, latents: Latents, name: str) -> None:
    what, size = f"{name}.penalty", samples[0].numel()

    def penalty(joined: Tensor) -> Tensor:
        some, others = joined[:, :size], joined[:, size:]
        return regularizer.penalty(some.reshape(-1, *samples.shape[1:]), others.reshape(-1, *latents.shape[1:]))

    joined = torch.cat([samples.flatten(1), latents.flatten(1)], dim=1)
    amounts = check_values(penalty, joined, (), what)
    require(bool((amounts >= 0).all()), f"{what} gives {float(amounts.min()):.3g}", "amounts of at least 0")
    if bool(amounts.any()):
        check_gradient(penalty, joined, what)
