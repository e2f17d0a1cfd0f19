"""One feature: its activation, and its deficit where it is inactive."""

from __future__ import annotations

from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff_sae.autoencoder import SparseAutoencoder


class Reading(NamedTuple):
    """Activation and deficit of a feature at each token.

    Attributes:
        value: the activation, zero where the feature is inactive.
        deficit: zero where the feature is active; elsewhere the pre-activation, or the gate, minus the value that would
            activate the feature, at most zero. It has a gradient where the activation has none.
    """

    value: Float[Tensor, "*batch"]
    deficit: Float[Tensor, "*batch"]


@final
class Feature:
    """One feature of an autoencoder; keeps only its own column of the encoder in memory.

    In top-k autoencoders, the activity of a feature depends on all others. Their pre-activations are computed in
    chunks, without a graph, from the encoder's file (on an accelerator, from a copy there).

    Args:
        autoencoder: autoencoder of the feature.
        index: index of the feature.
        device: device to compute on.

    Raises:
        UnknownNameError: there is no such feature.
    """

    def __init__(self, autoencoder: SparseAutoencoder, index: int, device: str = "cpu") -> None:
        self.config = autoencoder.config
        self._own = autoencoder.select(index, device)
        rivalry = self.config.activation in ("topk", "groupmax")
        self._whole, self._index = (autoencoder.to(device), index) if rivalry else (self._own, 0)

    def read(self, activations: Float[Tensor, "*batch d_in"]) -> Reading:
        """Read the feature at each token."""
        centred = self._own.centre(activations)
        preactivation = self._own.preactivate(centred)[..., 0]
        with torch.no_grad():
            cutoff = self._whole.cutoff(centred, self._index)
        active = (preactivation > cutoff) & (preactivation > 0)
        deficit = (preactivation - cutoff).clamp(max=0)
        if self.config.architecture == "gated":
            gate = self._own.gate(centred)[..., 0]
            active = active & (gate > 0)
            deficit = deficit + gate.clamp(max=0)
        value = preactivation.tanh() if self.config.activation == "tanh-relu" else preactivation
        zero = torch.zeros_like(value)
        return Reading(torch.where(active, value, zero), torch.where(active, zero, deficit))
