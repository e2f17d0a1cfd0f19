"""The objective, and the invariant set of its logit."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

import equidiff
from shortcut.images import ShapeImages


@final
class StarLogit(equidiff.Objective):
    """Logit of "star" that a network gives an image."""

    names = ("star",)
    unit = "logit"

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def measure(self, samples: Tensor) -> Tensor:
        """Logits of images `[batch, 3, 32, 32]`, as `[batch, 1]`."""
        return self._network(samples)


def sample_set(
    network: nn.Module, image: Tensor, samples: int, seed: int, budget: float | None = None
) -> equidiff.InvariantSet:
    """The invariant set of a network's logit for an image `[1, 3, 32, 32]`.

    There is no low-pass view: every latent of this generator changes something visible, so there is no invisible
    pattern for the view to keep out. The tolerance was fixed before any network was trained, for samples before
    rounding.
    """
    return equidiff.sample(
        ShapeImages(), StarLogit(network), "none", query=image, samples=samples, budget=budget, batch=32, seed=seed,
        device="cpu", tolerance=1e-3, saved="float",
    )  # fmt: skip
