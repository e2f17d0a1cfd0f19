"""Drawings of a signal: its waveform above its spectrogram."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from equidiff.images.canvas import INK
from equidiff.kinds.spectrogram import FLOOR_DB, decibels

GROUND, AXIS = "#f6f8fa", "#c9d1d9"
OVERSAMPLED = 3


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
    width, height = (OVERSAMPLED * each for each in size)
    canvas = Image.new("RGB", (width, height), GROUND)
    draw, middle = ImageDraw.Draw(canvas), (height - 1) / 2
    draw.line((0, middle, width, middle), AXIS, OVERSAMPLED)
    count = waves.shape[1]
    if count <= width:
        for wave in waves.clamp(-1, 1).tolist():
            points = [(place * width / max(count - 1, 1), middle * (1 - value)) for place, value in enumerate(wave)]
            draw.line(points, INK, OVERSAMPLED, joint="curve")
        return canvas.resize(size, Image.Resampling.LANCZOS)
    edges = np.linspace(0, count - 1, width + 1)
    for column in range(width):
        # one sample more on the right, so that neighbouring columns meet
        part = waves[:, int(edges[column]) : int(np.ceil(edges[column + 1])) + 1].clamp(-1, 1)
        top, bottom = (middle * (1 - float(value)) for value in (part.max(), part.min()))
        draw.line((column, round(top), column, round(bottom) + OVERSAMPLED), INK)
    return canvas.resize(size, Image.Resampling.LANCZOS)


def _draw_spectrogram(waves: Tensor, size: tuple[int, int]) -> Image.Image:
    from matplotlib import colormaps

    power = decibels(waves, hop=max(waves.shape[1] // size[0], 1)).mean(dim=0).flip(0)
    scaled = (power / -FLOOR_DB + 1).clamp(0, 1)
    shades = colormaps["magma"](scaled.numpy(), bytes=True)[:, :, :3]
    return Image.fromarray(np.ascontiguousarray(shades)).resize(size, Image.Resampling.BILINEAR)
