"""Arithmetic of sparse autoencoders, for all features or for one.

In all formulas x is an activation `[..., d_in]`, h its normalised form, and u = h - b_dec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.errors import UnknownNameError, UsageError
from equidiff_sae.config import RIVALS, SaeConfig
from equidiff_sae.normalise import normalise
from equidiff_sae.pursuit import pursue

CHUNK = 8192  # features preactivations at a time
BY_FEATURE = {"W_enc": 1, "b_enc": 0, "b_gate": 0, "r_mag": 0, "b_mag": 0, "threshold": 0, "W_dec": 0}


@final
class SparseAutoencoder:
    """A sparse autoencoder, or a transcoder.

    The tensors may be mapped from a file: only the parts in use are read.

    Args:
        config: settings of the autoencoder.
        tensors: W_enc `[d_in, d_sae]`, b_enc `[d_sae]`, W_dec `[d_sae, d_out]`, b_dec `[d_out]`; also b_gate, r_mag and
            b_mag `[d_sae]` (gated), threshold `[d_sae]` (jumprelu), b_dec_out `[d_out]` and W_skip `[d_out, d_in]`
            (transcoders), levels (quantized), mean, whitening and unwhitening (whitening). Matching pursuit encodes by
            W_dec.

    References:
        Joseph et al. (2025), "Prisma". https://arxiv.org/abs/2504.19475
        Rajamanoharan et al. (2024), gated and JumpReLU autoencoders. https://arxiv.org/abs/2404.16014,
            https://arxiv.org/abs/2407.14435
        Gao et al. (2024), top-k. https://arxiv.org/abs/2406.04093
        Costa et al. (2025), matching pursuit. https://arxiv.org/abs/2506.03093
    """

    def __init__(self, config: SaeConfig, tensors: Mapping[str, Tensor]) -> None:
        self.config = config
        self._tensors = dict(tensors)

    def encode(self, activations: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_sae"]:
        """Encode activations as features; differentiable, in float32."""
        centred = self.centre(activations)
        if self.config.pursuit is not None:
            features = pursue(centred.reshape(-1, self.config.d_in), self._get("W_dec"), self.config.pursuit)
            return features.unflatten(0, centred.shape[:-1])
        features = self.activate(self.preactivate(centred))
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
        config = self.config
        per_token = config.normalisation in ("layer_norm", "constant_norm_rescale") and not config.raw_output
        if activations is None and (config.skip or per_token):
            raise UsageError(
                "Decoding needs the activations that were encoded, to undo the normalisation of each token.",
                given=f"normalisation {config.normalisation}, {'with' if config.skip else 'without'} skip",
                expected="decode(features, activations)",
            )
        if config.scaled:
            features = features / self._lengths()
        decoded = features @ self._get("W_dec") + self._get("b_dec_out" if "b_dec_out" in self._tensors else "b_dec")
        given = decoded.new_zeros(config.d_in) if activations is None else self._flat(activations)
        if config.skip:
            # of the raw activations, before the normalisation is undone, as Prisma and SAELens trained them
            decoded = decoded + given @ self._get("W_skip").T
        return decoded if config.raw_output else normalise(config, given, self._get).undo(decoded)

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
        value = normalise(self.config, self._flat(activations), self._get).value
        return value - self._get("b_dec") if self.config.centred else value

    def preactivate(
        self, centred: Float[Tensor, "*batch d_in"], columns: slice = slice(None)
    ) -> Float[Tensor, "*batch columns"]:
        """Pre-activations: top-k compares them, and activation functions are applied to them.

        Those of matching pursuit are the products that its first step compares.
        """
        if self.config.pursuit is not None:
            return centred @ self._get("W_dec", columns).T
        weights = self._get("W_enc", columns)
        if self.config.architecture == "gated":
            return centred @ (weights * self._get("r_mag", columns).exp()) + self._get("b_mag", columns)
        preactivations = centred @ weights + self._get("b_enc", columns)
        return preactivations * self._lengths(columns) if self.config.scaled else preactivations

    def gate(self, centred: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_sae"]:
        """Gate of a gated autoencoder: a feature is active where it is above zero."""
        return centred @ self._get("W_enc") + self._get("b_gate")

    def cutoff(self, centred: Float[Tensor, "*batch d_in"], index: int) -> Float[Tensor, " *batch"] | float:
        """Value that a feature's pre-activation must exceed to be active: zero, a threshold, or that of its rivals.

        Args:
            centred: from `centre`.
            index: index of the feature.
        """
        config = self.config
        rank, features = config.k or 1, range(config.d_sae)
        if config.activation == "jumprelu":
            return self._get("threshold", slice(index, index + 1))
        if config.activation == "groupmax":
            size = config.d_sae // rank
            start = index // size * size
            rank, features = 1, range(start, start + size)
        elif config.pursuit is None and config.activation not in RIVALS:
            return 0.0
        if rank >= len(features):
            return -torch.inf if config.is_signed else 0.0
        best = self._best_rivals(centred, index, rank, features)
        return best if config.is_signed else best.clamp(min=0)

    def _best_rivals(self, centred: Tensor, index: int, rank: int, rivals: range) -> Tensor:
        """The pre-activation of this rank among the rivals, without the feature itself; computed in chunks."""
        best = centred.new_full((*centred.shape[:-1], rank), -torch.inf)
        for start in range(rivals.start, rivals.stop, CHUNK):
            preactivations = self.preactivate(centred, slice(start, min(start + CHUNK, rivals.stop)))
            if self.config.activation == "abstopk":
                preactivations = preactivations.abs()
            if start <= index < start + preactivations.shape[-1]:
                preactivations[..., index - start] = -torch.inf
            best = torch.cat([best, preactivations], dim=-1).topk(rank, dim=-1).values
        return best[..., -1]

    def activate(self, preactivations: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_sae"]:
        """Apply the activation function to the pre-activations of all features."""
        name, k = self.config.activation, self.config.k or 1
        positive = preactivations.relu()
        if name == "tanh-relu":
            return positive.tanh()
        if name == "jumprelu":
            return positive * (preactivations > self._get("threshold"))
        if name == "quantized":
            return self.quantize(preactivations)
        if name == "groupmax":
            groups = positive.unflatten(-1, (k, -1))
            first = groups.max(dim=-1, keepdim=True)
            return torch.zeros_like(groups).scatter(-1, first.indices, first.values).flatten(-2)
        if name not in RIVALS:
            return positive
        kept = (preactivations.abs() if name == "abstopk" else preactivations).topk(k, dim=-1).indices
        values = (preactivations if self.config.is_signed else positive).gather(-1, kept)
        return torch.zeros_like(preactivations).scatter(-1, kept, values)

    def quantize(self, preactivations: Tensor) -> Tensor:
        """Mean of the levels, weighted by their nearness; where it is negative, zero."""
        levels = self._get("levels")
        nearness = (-(preactivations[..., None] - levels).square()).softmax(dim=-1)
        return (nearness * levels).sum(dim=-1).relu()

    def _lengths(self, columns: slice = slice(None)) -> Tensor:
        """Norms of the decoder's rows, for activations that are not normalised by a constant factor."""
        return self._get("W_dec", columns).norm(dim=1) / self.config.factor

    def _flat(self, activations: Tensor) -> Tensor:
        """Activations in float32, with attention heads side by side."""
        apart = self.config.heads and activations.shape[-1] != self.config.d_in
        return (activations.flatten(-2) if apart else activations).float()

    def _get(self, name: str, columns: slice = slice(None)) -> Tensor:
        tensor = self._tensors[name]
        if name in BY_FEATURE:
            tensor = tensor[:, columns] if BY_FEATURE[name] else tensor[columns]
        return tensor.float()
