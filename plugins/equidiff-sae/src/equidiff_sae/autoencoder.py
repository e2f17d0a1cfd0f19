"""Arithmetic of sparse autoencoders, for all features or for one.

In all formulas x is an activation `[..., d_in]`, h its normalised form, and u = h - b_dec.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.errors import UnknownNameError, UsageError
from equidiff_sae.config import SaeConfig

EPSILON = 1e-5  # added to the standard deviation, not to the variance
CHUNK = 8192  # features preactivations at a time
BY_FEATURE = {"W_enc": 1, "b_enc": 0, "b_gate": 0, "r_mag": 0, "b_mag": 0, "threshold": 0, "W_dec": 0}


@dataclass(frozen=True)
class Scale:
    """Normalisation of a token: h = (x - shift) * factor, undone by y = r * back + shift."""

    shift: Tensor
    factor: Tensor
    back: Tensor


@final
class SparseAutoencoder:
    """A sparse autoencoder, or a transcoder.

    The tensors may be mapped from a file: only the parts in use are read.

    Args:
        config: settings of the autoencoder.
        tensors: W_enc `[d_in, d_sae]`, b_enc `[d_sae]`, W_dec `[d_sae, d_out]`, b_dec `[d_in]`; also b_gate, r_mag and
            b_mag `[d_sae]` (gated), threshold `[d_sae]` (jumprelu), b_dec_out `[d_out]` and W_skip `[d_in, d_in]`
            (transcoders).

    References:
        Joseph et al. (2025), "Prisma". https://arxiv.org/abs/2504.19475
        Rajamanoharan et al. (2024), gated and JumpReLU autoencoders. https://arxiv.org/abs/2404.16014,
            https://arxiv.org/abs/2407.14435
        Gao et al. (2024), top-k. https://arxiv.org/abs/2406.04093
    """

    def __init__(self, config: SaeConfig, tensors: Mapping[str, Tensor]) -> None:
        self.config = config
        self._tensors = dict(tensors)

    def encode(self, activations: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_sae"]:
        """Encode activations as features; differentiable, in float32."""
        centred = self.centre(activations)
        preactivations = self.preactivate(centred)
        features = self._activate(preactivations)
        if self.config.architecture == "gated":
            features = features * (self.gate(centred) > 0)
        return features

    def decode(
        self, features: Float[Tensor, "*batch d_sae"], activations: Float[Tensor, "*batch d_in"] | None = None
    ) -> Float[Tensor, "*batch d_out"]:
        """Decode features to activations.

        Args:
            features: from `encode`.
            activations: those that were encoded. Needed if each token was normalised (which is undone here), and by
                transcoders with a skip connection.

        Raises:
            UsageError: the activations are needed but absent.
        """
        if activations is None and (self.config.skip or self.config.normalisation != "none"):
            raise UsageError(
                "Decoding needs the activations that were encoded, to undo the normalisation of each token.",
                given=f"normalisation {self.config.normalisation}, {'with' if self.config.skip else 'without'} skip",
                expected="decode(features, activations)",
            )
        if self.config.scaled:
            features = features / self._get("W_dec").norm(dim=1)
        transcoder = self.config.architecture == "transcoder" and "b_dec_out" in self._tensors
        decoded = features @ self._get("W_dec") + self._get("b_dec_out" if transcoder else "b_dec")
        if activations is None:
            return decoded
        if self.config.skip:
            # of the raw activations, before the normalisation is undone, as Prisma trained them
            decoded = decoded + activations.float() @ self._get("W_skip").T
        scale = self._scale(activations.float())
        return decoded * scale.back + scale.shift

    def reconstruct(self, activations: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Encode and decode: reconstruct the activations, or predict a transcoder's output from them."""
        return self.decode(self.encode(activations), activations)

    def select(self, index: int, device: str = "cpu") -> SparseAutoencoder:
        """The autoencoder with a single feature, in memory of its own.

        Args:
            index: index of the feature.
            device: device of its tensors.

        Raises:
            UnknownNameError: there is no such feature.
        """
        if not 0 <= index < self.config.d_sae:
            raise UnknownNameError(
                f"The autoencoder has no feature {index}.",
                given=index,
                expected=f"an index from 0 to {self.config.d_sae - 1}",
            )
        parts = {
            name: tensor.narrow(BY_FEATURE[name], index, 1) if name in BY_FEATURE else tensor
            for name, tensor in self._tensors.items()
        }
        return SparseAutoencoder(self.config, {name: part.clone().float().to(device) for name, part in parts.items()})

    def described(self, config: SaeConfig) -> SparseAutoencoder:
        """The same tensors with other settings."""
        return SparseAutoencoder(config, self._tensors)

    def to(self, device: str) -> SparseAutoencoder:
        """Move the autoencoder to another device; tensors that are there already are not copied."""
        return SparseAutoencoder(self.config, {name: tensor.to(device) for name, tensor in self._tensors.items()})

    def centre(self, activations: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_in"]:
        """Compute u: normalised activations minus the decoder's bias. All pre-activations are linear in it."""
        activations = activations.float()
        scale = self._scale(activations)
        normalised = (activations - scale.shift) * scale.factor
        return normalised - self._get("b_dec") if self.config.centred else normalised

    def preactivate(
        self, centred: Float[Tensor, "*batch d_in"], columns: slice = slice(None)
    ) -> Float[Tensor, "*batch columns"]:
        """Pre-activations: top-k compares them, and activation functions are applied to them."""
        weights = self._get("W_enc", columns)
        if self.config.architecture == "gated":
            return centred @ (weights * self._get("r_mag", columns).exp()) + self._get("b_mag", columns)
        preactivations = centred @ weights + self._get("b_enc", columns)
        return preactivations * self._get("W_dec", columns).norm(dim=1) if self.config.scaled else preactivations

    def gate(self, centred: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_sae"]:
        """Gate of a gated autoencoder: a feature is active where it is above zero."""
        return centred @ self._get("W_enc") + self._get("b_gate")

    def cutoff(self, centred: Float[Tensor, "*batch d_in"], index: int) -> Float[Tensor, " *batch"] | float:
        """Value that a feature's pre-activation must exceed to be active: zero, a threshold, or that of its rivals.

        Args:
            centred: from `centre`.
            index: index of the feature.
        """
        if self.config.activation == "jumprelu":
            return self._get("threshold", slice(index, index + 1))
        if self.config.activation == "groupmax":
            size = self.config.d_sae // (self.config.k or 1)
            start = index // size * size
            return self._best_rivals(centred, index, 1, range(start, start + size)).clamp(min=0)
        if self.config.activation == "topk" and (self.config.k or 0) < self.config.d_sae:
            return self._best_rivals(centred, index, self.config.k or 1, range(self.config.d_sae)).clamp(min=0)
        return 0.0

    def _best_rivals(self, centred: Tensor, index: int, rank: int, rivals: range) -> Tensor:
        """The pre-activation of this rank among the rivals, without the feature itself; computed in chunks."""
        best = centred.new_full((*centred.shape[:-1], rank), -torch.inf)
        for start in range(rivals.start, rivals.stop, CHUNK):
            preactivations = self.preactivate(centred, slice(start, min(start + CHUNK, rivals.stop)))
            if start <= index < start + preactivations.shape[-1]:
                preactivations[..., index - start] = -torch.inf
            best = torch.cat([best, preactivations], dim=-1).topk(rank, dim=-1).values
        return best[..., -1]

    def _activate(self, preactivations: Tensor) -> Tensor:
        positive = preactivations.relu()
        if self.config.activation == "tanh-relu":
            return positive.tanh()
        if self.config.activation == "jumprelu":
            return positive * (preactivations > self._get("threshold"))
        if self.config.activation == "topk":
            kept = preactivations.topk(self.config.k or 1, dim=-1)
            return torch.zeros_like(preactivations).scatter(-1, kept.indices, kept.values.relu())
        if self.config.activation == "groupmax":
            groups = positive.unflatten(-1, (self.config.k or 1, -1))
            first = groups.max(dim=-1, keepdim=True)
            return torch.zeros_like(groups).scatter(-1, first.indices, first.values).flatten(-2)
        return positive

    def _scale(self, activations: Tensor) -> Scale:
        zero, one = activations.new_zeros(()), activations.new_ones(())
        if self.config.normalisation == "layer_norm":
            shift = activations.mean(dim=-1, keepdim=True)
            spread = (activations - shift).std(dim=-1, keepdim=True)  # unbiased
            return Scale(shift, 1 / (spread + EPSILON), spread)
        if self.config.normalisation == "constant_norm_rescale":
            factor = math.sqrt(self.config.d_in) / activations.norm(dim=-1, keepdim=True)
            return Scale(zero, factor, 1 / factor)
        return Scale(zero, one, one)

    def _get(self, name: str, columns: slice = slice(None)) -> Tensor:
        tensor = self._tensors[name]
        if name in BY_FEATURE:
            tensor = tensor[:, columns] if BY_FEATURE[name] else tensor[columns]
        return tensor.float()
