"""One feature: its activation, and its deficit where it is inactive."""

from __future__ import annotations

from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff_sae.autoencoder import SparseAutoencoder
from equidiff_sae.config import RIVALS


class Reading(NamedTuple):
    """Activation and deficit of a feature at each token.

    Attributes:
        value: the activation, zero where the feature is inactive.
        deficit: zero where the feature is active; elsewhere the pre-activation, or the gate, minus the value that would
            activate the feature, at most zero. It has a gradient where the activation has none.
        below: the same for an activation below zero; None where features are never negative.
    """

    value: Float[Tensor, "*batch"]
    deficit: Float[Tensor, "*batch"]
    below: Float[Tensor, "*batch"] | None = None


@final
class Feature:
    """One feature of an autoencoder; keeps only its own column of the encoder in memory.

    In top-k autoencoders, the activity of a feature depends on all others. Their pre-activations are computed in
    chunks, without a graph, from the encoder's file (on an accelerator, from a copy there). Matching pursuit needs the
    whole decoder.

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
        rivalry = self.config.activation in RIVALS or self.config.pursuit is not None
        self._whole, self._index = (autoencoder.to(device), index) if rivalry else (self._own, 0)

    def read(self, activations: Float[Tensor, "*batch d_in"]) -> Reading:
        """Read the feature at each token."""
        centred = self._own.centre(activations)
        preactivation = self._own.preactivate(centred)[..., 0]
        with torch.no_grad():
            cutoff = self._whole.cutoff(centred, self._index)
        if self.config.pursuit is not None:
            value = self._whole.encode(activations)[..., self._index]
            return self._reading(value, value != 0, preactivation - cutoff)
        if self.config.activation == "abstopk":
            active = preactivation.abs() > cutoff
            zero = torch.zeros_like(preactivation)
            below = torch.where(active, zero, (-preactivation - cutoff).clamp(max=0))
            return self._reading(preactivation, active, preactivation - cutoff)._replace(below=below)
        if self.config.activation == "signed-topk":
            reading = self._reading(preactivation, preactivation > cutoff, preactivation - cutoff)
            return reading._replace(below=reading.deficit)
        if self.config.activation == "quantized":
            value = self._own.quantize(preactivation)
            return self._reading(value, value > 0, preactivation)
        active = (preactivation > cutoff) & (preactivation > 0)
        deficit = (preactivation - cutoff).clamp(max=0)
        if self.config.architecture == "gated":
            gate = self._own.gate(centred)[..., 0]
            active = active & (gate > 0)
            deficit = deficit + gate.clamp(max=0)
        value = preactivation.tanh() if self.config.activation == "tanh-relu" else preactivation
        return self._reading(value, active, deficit)

    @staticmethod
    def _reading(value: Tensor, active: Tensor, deficit: Tensor) -> Reading:
        zero = torch.zeros_like(value)
        return Reading(torch.where(active, value, zero), torch.where(active, zero, deficit.clamp(max=0)))
