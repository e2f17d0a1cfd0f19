"""Normalisation of each token before encoding, and its inverse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from equidiff_sae.config import SaeConfig

EPSILON = 1e-5  # added to the standard deviation, not to the variance


class Normalised(NamedTuple):
    """Normalised activations h, and the way back: a function of reconstructions of h."""

    value: Tensor
    undo: Callable[[Tensor], Tensor]


def normalise(config: SaeConfig, activations: Tensor, get: Callable[[str], Tensor]) -> Normalised:
    """Normalise activations `[..., d_in]`.

    Args:
        config: settings of the autoencoder.
        activations: float32.
        get: gives tensors of the autoencoder by name; whitening needs mean, whitening and unwhitening.
    """
    if config.normalisation == "layer_norm":
        mean = activations.mean(dim=-1, keepdim=True)
        spread = (activations - mean).std(dim=-1, keepdim=True)  # unbiased
        return Normalised((activations - mean) / (spread + EPSILON), lambda decoded: decoded * spread + mean)
    if config.normalisation == "constant_norm_rescale":
        length = activations.norm(dim=-1, keepdim=True) / math.sqrt(config.d_in)
        return Normalised(activations / length, lambda decoded: decoded * length)
    if config.normalisation == "constant":
        return Normalised(activations * config.factor, lambda decoded: decoded / config.factor)
    if config.normalisation == "whitening":
        mean, there, back = get("mean"), get("whitening"), get("unwhitening")
        return Normalised((activations - mean) @ there, lambda decoded: decoded @ back + mean)
    return Normalised(activations, lambda decoded: decoded)
