"""Drawings of a signal: its waveform above its spectrogram."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from equidiff.images.canvas import INK
from equidiff.kinds.spectrogram import FLOOR_DB, decibels

GROUND, AXIS = "#f6f8fa", "#c9d1d9"
OVERSAMPLED = 3
LONG = 3  # samples in a column


def draw_signal(signal: Tensor, side: int) -> Image.Image:
    """Draw the waveform from -1 to 1, and below it the spectrogram, in a square.

    Args:
        signal: `[samples]` or `[channels, samples]`; the waveform has the range of all channels.
        side: in pixels.
    """
    waves = signal.reshape(-1, signal.shape[-1])
    canvas = Image.new("RGB", (side, side), GROUND)
    upper = side // 2
    canvas.paste(_draw_wave(waves, (side, upper)), (0, 0))
    canvas.paste(_draw_spectrogram(waves, (side, side - upper)), (0, upper))
    return canvas


def _draw_wave(waves: Tensor, size: tuple[int, int]) -> Image.Image:
    """A line from sample to sample; of a long signal, the range of the samples in each column."""
    numbers = waves.clamp(-1, 1).numpy()
    if numbers.shape[1] > LONG * size[0]:
        return _draw_ranges(numbers, size)
    width, height = (OVERSAMPLED * each for each in size)
    canvas = Image.new("RGB", (width, height), GROUND)
    draw, middle = ImageDraw.Draw(canvas), (height - 1) / 2
    draw.line((0, middle, width, middle), AXIS, OVERSAMPLED)
    step = width / max(numbers.shape[1] - 1, 1)
    for wave in numbers.tolist():
        points = [(place * step, middle * (1 - value)) for place, value in enumerate(wave)]
        draw.line(points, INK, OVERSAMPLED, joint="curve")
    return canvas.resize(size, Image.Resampling.LANCZOS)


def _draw_ranges(numbers: np.ndarray, size: tuple[int, int]) -> Image.Image:
    width, height = size
    canvas = Image.new("RGB", size, GROUND)
    draw, middle = ImageDraw.Draw(canvas), (height - 1) / 2
    draw.line((0, middle, width, middle), AXIS)
    starts = np.linspace(0, numbers.shape[1], width, endpoint=False).astype(int)
    highest, lowest = numbers.max(axis=0), numbers.min(axis=0)
    # as far as the first sample of the next column, so that neighbouring columns meet
    following = np.append(starts[1:], starts[-1])
    highest = np.maximum(np.maximum.reduceat(highest, starts), highest[following])
    lowest = np.minimum(np.minimum.reduceat(lowest, starts), lowest[following])
    tops, bottoms = (np.rint(middle * (1 - ends)).tolist() for ends in (highest, lowest))
    for column, (top, bottom) in enumerate(zip(tops, bottoms, strict=True)):
        draw.line([(column, top), (column, bottom)], INK)
    return canvas


def _draw_spectrogram(waves: Tensor, size: tuple[int, int]) -> Image.Image:
    from matplotlib import colormaps

    power = decibels(waves, hop=max(waves.shape[1] // size[0], 1)).mean(dim=0).flip(0)
    scaled = (power / -FLOOR_DB + 1).clamp(0, 1)
    shades = colormaps["magma"](scaled.numpy(), bytes=True)[:, :, :3]
    return Image.fromarray(np.ascontiguousarray(shades)).resize(size, Image.Resampling.BILINEAR)
