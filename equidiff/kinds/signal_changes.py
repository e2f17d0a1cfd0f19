"""Small changes that sounds undergo: another rate there and back, a little noise, another gain."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from equidiff.contracts.sample_kind import Change


def resample(signals: Tensor, rate: int, given: int) -> Tensor:
    """Signals `[..., samples]` at another rate, by a polyphase filter.

    Args:
        signals: at the rate `given`.
        rate: that they get.
        given: that they have.
    """
    from scipy.signal import resample_poly

    shared = math.gcd(rate, given)
    found = resample_poly(signals.double().cpu().numpy(), rate // shared, given // shared, axis=-1)
    return torch.from_numpy(found).to(signals)


def there_and_back(signals: Tensor, parts: int, of: int) -> Tensor:
    """Signals resampled to a part of their rate, and back."""
    return resample(resample(signals, parts, of), of, parts)[..., : signals.shape[-1]]


def add_noise(signals: Tensor, below_db: float, seed: int = 0) -> Tensor:
    """Add the same normal noise to each signal, this many decibels below the signal's own power."""
    noise = torch.randn(signals.shape[1:], generator=torch.Generator().manual_seed(seed)).to(signals)
    power = signals.flatten(1).square().mean(dim=1).sqrt().reshape(-1, *[1] * (signals.ndim - 1))
    return signals + power * 10 ** (-below_db / 20) * noise


def amplify(signals: Tensor, decibels: float) -> Tensor:
    """Signals that are louder by this many decibels."""
    return signals * 10 ** (decibels / 20)


CHANGES: Mapping[str, tuple[str, Change]] = {
    "rate_0.75": ("rate x 0.75", lambda signals: there_and_back(signals, 3, 4)),
    "rate_0.5": ("rate x 0.5", lambda signals: there_and_back(signals, 1, 2)),
    "noise_40db": ("noise at -40 dB", lambda signals: add_noise(signals, 40)),
    "noise_30db": ("noise at -30 dB", lambda signals: add_noise(signals, 30)),
    "gain_-1db": ("gain of -1 dB", lambda signals: amplify(signals, -1)),
    "gain_-6db": ("gain of -6 dB", lambda signals: amplify(signals, -6)),
}
