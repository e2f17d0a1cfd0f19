"""`harmonic`: sounds made of harmonics and noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from equidiff.contracts import BuildContext, Generator
from equidiff.plugin import Signal
from equidiff.types import Latents, Samples
from equidiff_audio.plugin import FRAME, RATE

if TYPE_CHECKING:
    from equidiff_audio.plugin import HarmonicOptions

TILT, TILT_SPREAD = -6.0, 3.0  # dB per octave of the harmonics: a sawtooth has -6
LEVEL_SPREAD = 9.0  # dB, of each harmonic alone
NOISE_SPREAD = 10.0  # dB, of the level of the noise
COLOUR, COLOUR_SPREAD = -3.0, 3.0  # dB per octave of the noise: pink noise has -3
COLOUR_FROM = 50.0  # Hz, below which the noise is white
FADE = 0.1  # share of the band below half the rate in which harmonics fade out
PEAK_NORM = 32  # exponent of the norm that stands for the peak
RAMP = 160  # samples in which a sound that is longer than a frame begins, and ends
SILENT = -8.0  # latent of the level of a harmonic that is as good as absent


class Parts(NamedTuple):
    """The parts of a latent, in order.

    Attributes:
        frequency: one number, of the fundamental.
        tilt: one number, of the spectrum of the harmonics.
        noise_level: one number.
        noise_colour: one number, of the spectrum of the noise.
        levels: a number for each harmonic.
        sines: a number for each harmonic; its phase is the direction of this and the next.
        cosines: a number for each harmonic.
        noise: one for each sample.
    """

    frequency: Float[Tensor, "batch 1"]
    tilt: Float[Tensor, "batch 1"]
    noise_level: Float[Tensor, "batch 1"]
    noise_colour: Float[Tensor, "batch 1"]
    levels: Float[Tensor, "batch partials"]
    sines: Float[Tensor, "batch partials"]
    cosines: Float[Tensor, "batch partials"]
    noise: Float[Tensor, "batch length"]


@final
class Harmonic(Generator):
    """Sounds of one pitch, in [-1, 1], 16,000 samples a second.

    The fundamental is log-uniform between two frequencies. Every harmonic has a level, around a spectrum that falls by
    some dB an octave, and a phase. Under them lies noise of some level and colour. The whole is divided by a smooth
    stand-in for its peak.

    Args:
        low: lowest fundamental in Hz.
        high: highest fundamental in Hz.
        partials: number of harmonics, the fundamental included. Those beyond half the rate are silent.
        length: samples of a sound.
        noise: median level of the noise, in dB of the harmonics' own.
    """

    kind = Signal(rate=RATE)

    def __init__(
        self, low: float = 110, high: float = 880, partials: int = 12, length: int = FRAME, noise: float = -30
    ) -> None:
        self.low, self.high, self.partials, self.length, self.noise = low, high, partials, length, noise
        self.latent_shape = (4 + 3 * partials + length,)
        self.sample_shape = (length,)

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Sounds `[batch, length]`; there are no steps."""
        parts = self.split(latents)
        tone = self._tone(parts)
        noise = self._noise(parts) * tone.square().mean(dim=1, keepdim=True).sqrt()
        return divide_by_peak((tone + noise) * self._envelope(latents))

    def queries(self) -> Samples:
        """Four sounds: a sawtooth, a pure tone, a sawtooth without its fundamental, and odd harmonics alone."""
        latents = torch.zeros(4, *self.latent_shape)
        latents[:] = torch.randn(self.latent_shape, generator=torch.Generator().manual_seed(0))
        parts = self.split(latents)
        share = torch.tensor([1 / 3, 2 / 3, 1 / 3, 1 / 6])[:, None]  # 220, 440, 220 and 156 Hz by default
        parts.frequency.copy_(torch.special.ndtri(share))
        parts.noise_level.fill_(-2.0)
        for part in (parts.tilt, parts.levels, parts.sines):
            part.zero_()
        parts.levels[1, 1:] = SILENT
        parts.levels[2, :1] = SILENT
        parts.levels[3, 1::2] = SILENT
        return self.generate(latents)

    def split(self, latents: Latents) -> Parts:
        """The parts of latents."""
        return Parts(*latents.split([1, 1, 1, 1, *3 * [self.partials], self.length], dim=1))

    def frequency(self, parts: Parts) -> Float[Tensor, "batch 1"]:
        """The fundamental in Hz."""
        return self.low * (self.high / self.low) ** torch.special.ndtr(parts.frequency)

    def amplitudes(self, parts: Parts) -> Float[Tensor, "batch partials"]:
        """Amplitude of each harmonic, before the whole is normalised."""
        number = self._numbers(parts)
        decibel = (TILT + TILT_SPREAD * parts.tilt) * number.log2() + LEVEL_SPREAD * parts.levels
        # harmonics beyond half the rate would come back as lower ones
        excess = (number * self.frequency(parts) / (RATE / 2) - (1 - FADE)) / FADE
        return 10 ** (decibel / 20) * (0.5 + 0.5 * torch.cos(math.pi * excess.clamp(0, 1)))

    def _tone(self, parts: Parts) -> Float[Tensor, "batch length"]:
        # phases are those in the middle, so that a change of the frequency moves the ends the least
        times = (torch.arange(self.length, device=parts.noise.device) - self.length / 2) / RATE
        cycles = self.frequency(parts) * times
        angles = 2 * math.pi * cycles[:, None] * self._numbers(parts)[:, None]
        radius = (parts.sines.square() + parts.cosines.square()).clamp(min=1e-12).sqrt()
        sines, cosines = (self.amplitudes(parts) * part / radius for part in (parts.sines, parts.cosines))
        return (sines[:, :, None] * angles.sin() + cosines[:, :, None] * angles.cos()).sum(dim=1)

    def _noise(self, parts: Parts) -> Float[Tensor, "batch length"]:
        """The noise, of the power that its level says where the harmonics have power 1."""
        spectrum = torch.fft.rfft(parts.noise, norm="ortho")
        frequencies = torch.fft.rfftfreq(self.length, 1 / RATE, device=parts.noise.device)
        octaves = (frequencies.clamp(min=COLOUR_FROM) / COLOUR_FROM).log2()
        gain = 10 ** ((COLOUR + COLOUR_SPREAD * parts.noise_colour) * octaves / 20)
        gain = gain / gain.square().mean(dim=1, keepdim=True).sqrt()
        level = 10 ** ((self.noise + NOISE_SPREAD * parts.noise_level) / 20)
        return level * torch.fft.irfft(spectrum * gain, n=self.length, norm="ortho")

    def _envelope(self, latents: Latents) -> Float[Tensor, " length"]:
        """A gentle beginning and end; none for a sound of one frame, whose middle alone would be heard."""
        if self.length <= FRAME:
            return latents.new_ones(self.length)
        place = torch.arange(self.length, device=latents.device) + 0.5
        nearest = torch.minimum(place, self.length - place)
        return 0.5 - 0.5 * torch.cos(math.pi * (nearest / RAMP).clamp(max=1))

    def _numbers(self, parts: Parts) -> Float[Tensor, " partials"]:
        return torch.arange(1, self.partials + 1, device=parts.noise.device, dtype=parts.noise.dtype)


def divide_by_peak(sounds: Float[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
    """Sounds divided by a norm that is at least their peak, and at most 1.25 times as large for 1,024 samples."""
    # the power overflows without the scale, of which the result does not depend: it has no gradient
    scale = sounds.detach().abs().amax(dim=1, keepdim=True).clamp(min=1e-12)
    norm = (sounds / scale).abs().pow(PEAK_NORM).sum(dim=1, keepdim=True).pow(1 / PEAK_NORM)
    return sounds / scale / norm


def build(argument: str | None, options: HarmonicOptions, context: BuildContext) -> Generator:
    """Build `harmonic`."""
    return Harmonic(options.low, options.high, options.partials, options.length, options.noise)
