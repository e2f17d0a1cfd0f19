"""One feature: its activation, and where it is off, how far it is from being on."""

from __future__ import annotations

from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff_sae.autoencoder import SparseAutoencoder


class Reading(NamedTuple):
    """Of one feature at each token.

    Attributes:
        value: the activation, zero where the feature is off.
        lack: zero where the feature is on; else how far its pre-activation, or its gate, is below what would turn it
            on, at most zero. It has a gradient where the activation has none.
    """

    value: Float[Tensor, "*batch"]
    lack: Float[Tensor, "*batch"]


@final
class Feature:
    """One feature of an autoencoder; keeps its own column of the encoder in memory, and no other.

    Of top-k autoencoders, whether a feature is on depends on all others: their pre-activations are computed a part at
    a time, without a graph, from the encoder as it lies in its file (on an accelerator: from a copy there).

    Args:
        autoencoder: whose feature.
        index: which one.
        device: where it is computed.

    Raises:
        UnknownNameError: there is no such feature.
    """

    def __init__(self, autoencoder: SparseAutoencoder, index: int, device: str = "cpu") -> None:
        self.config = autoencoder.config
        self._own = autoencoder.select(index, device)
        rivalry = self.config.activation in ("topk", "groupmax")
        self._judge, self._index = (autoencoder.to(device), index) if rivalry else (self._own, 0)

    def read(self, activations: Float[Tensor, "*batch d_in"]) -> Reading:
        """The feature at each token."""
        centred = self._own.centre(activations)
        ranked = self._own.rank(centred)[..., 0]
        with torch.no_grad():
            bar = self._judge.bar(centred, self._index)
        on = (ranked > bar) & (ranked > 0)
        lack = (ranked - bar).clamp(max=0)
        if self.config.architecture == "gated":
            gate = self._own.gate(centred)[..., 0]
            on = on & (gate > 0)
            lack = lack + gate.clamp(max=0)
        value = ranked.tanh() if self.config.activation == "tanh-relu" else ranked
        zero = torch.zeros_like(value)
        return Reading(torch.where(on, value, zero), torch.where(on, zero, lack))
