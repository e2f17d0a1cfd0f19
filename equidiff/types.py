"""Tensors by their shapes: the words that annotations use."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

Latents = Float[Tensor, "batch *latent"]
States = Float[Tensor, "batch parts *latent"]  # of a sampler on its way
Samples = Float[Tensor, "batch *sample"]
Measurements = Float[Tensor, "batch m"]
PerSample = Float[Tensor, " batch"]
Attributions = Float[Tensor, "batch channels height width"]
