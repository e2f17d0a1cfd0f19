"""The objective, and the invariant set of its logit."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

import equidiff
from shortcut.pictures import Pictures


@final
class StarLogit(equidiff.Objective):
    """The logit of "star" that a network gives to images."""

    names = ("star",)
    unit = "logit"

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def measure(self, samples: Tensor) -> Tensor:
        """Logits of pictures `[batch, 3, 32, 32]`, as `[batch, 1]`."""
        return self._network(samples)


def sample_set(
    network: nn.Module, picture: Tensor, samples: int, seed: int, budget: float | None = None
) -> equidiff.InvariantSet:
    """The invariant set of a network's logit for a picture `[1, 3, 32, 32]`.

    Without a low-pass view: every latent of this generator moves something that one can see, so there is no invisible
    pattern that the view would have to keep out.
    """
    return equidiff.sample(
        Pictures(), StarLogit(network), "none", query=picture, samples=samples, budget=budget, batch=32, seed=seed,
        device="cpu",
    )  # fmt: skip
