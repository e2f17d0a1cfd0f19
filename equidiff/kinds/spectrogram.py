"""Spectrograms of signals, in decibels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LONGEST, SHORTEST = 512, 16  # samples of a window
FLOOR_DB = -80.0  # relative to a sine of full scale


def decibels(signals: Tensor, hop: int | None = None) -> Tensor:
    """Power in decibels, from `FLOOR_DB` to 0 for a sine of full scale.

    Args:
        signals: `[..., samples]`.
        hop: samples from one window to the next; half a window when None.

    Returns:
        `[..., frequencies, windows]`.
    """
    length = signals.shape[-1]
    size = 2 ** round(math.log2(min(max(length / 8, SHORTEST), LONGEST)))
    flat = signals.reshape(-1, length)
    if length < size:
        flat = torch.nn.functional.pad(flat, (0, size - length))
    window = torch.hann_window(size, dtype=signals.dtype, device=signals.device)
    # whole windows alone: padding would add clicks at both ends
    spectra = torch.stft(flat, size, hop or size // 2, window=window, center=False, return_complex=True)
    power = (spectra.abs() / (window.sum() / 2)).square()
    found = 10 * power.clamp(min=1e-12).log10()
    return found.clamp(FLOOR_DB, 0).reshape(*signals.shape[:-1], *found.shape[-2:])
