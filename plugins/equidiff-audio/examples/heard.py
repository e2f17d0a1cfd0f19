"""Compare the sounds of a run by what made them and by what CREPE hears: `python heard.py RUN`.

Four numbers for each member of a run of `harmonic`: the fundamental frequency that it was made with, as its latent
says; the pitch that CREPE hears; the fundamental by autocorrelation, which knows of neither; and the share of the
energy at the pitch that is heard, between 0.5 and 1.5 times its frequency.
"""

from __future__ import annotations

import argparse

import torch
from equidiff_audio.harmonic import Harmonic
from equidiff_audio.network import frequency_of, load_crepe
from equidiff_audio.objective import pitch
from equidiff_audio.plugin import FRAME, RATE
from torch import Tensor

import equidiff

FAR = 50  # cents: half a semitone


def fundamental(frames: Tensor, low: float = 50, high: float = 1000) -> Tensor:
    """The fundamental frequency in Hz, `[frames]`: the first of the high peaks of the autocorrelation.

    Args:
        frames: `[frames, samples]`.
        low: lowest frequency that is looked for.
        high: highest frequency that is looked for.
    """
    length = frames.shape[1]
    spectrum = torch.fft.rfft(frames - frames.mean(dim=1, keepdim=True), n=2 * length)
    products = torch.fft.irfft(spectrum.abs().square())[:, :length]
    correlation = products / torch.arange(length, 0, -1)  # there are fewer products at longer lags
    return torch.tensor([RATE / _first_peak(row, round(RATE / high), round(RATE / low)) for row in correlation])


def _first_peak(row: Tensor, first: int, last: int) -> float:
    """The first lag whose peak is nearly as high as the highest, between samples by a parabola."""
    peaks = [lag for lag in range(first, last) if row[lag - 1] < row[lag] >= row[lag + 1]]
    highest = max(float(row[lag]) for lag in peaks)
    lag = next(lag for lag in peaks if row[lag] > 0.9 * highest)
    before, at, after = row[lag - 1 : lag + 2].tolist()
    return lag + 0.5 * (before - after) / (before - 2 * at + after)


def share_at(frames: Tensor, frequencies: Tensor) -> Tensor:
    """Share of the energy between 0.5 and 1.5 times a frequency, `[frames]`."""
    power = torch.fft.rfft(frames * torch.hann_window(frames.shape[1])).abs().square()
    places = torch.fft.rfftfreq(frames.shape[1], 1 / RATE) / frequencies[:, None]
    return (power * ((places - 1).abs() < 0.5)).sum(dim=1) / power.sum(dim=1)


def main() -> None:
    """Print a line for each member, the range of each column, and how many were made with another pitch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a run with the generator harmonic")
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny", help="the network that listens")
    options = parser.parse_args()
    found = equidiff.load(options.run)
    generator = Harmonic(**found.info.options.generator)
    made = generator.frequency(generator.split(found.latents))[:, 0]
    start = (found.samples.shape[1] - FRAME) // 2
    frames = found.samples[:, start : start + FRAME]  # the middle of a longer sound
    heard = frequency_of(pitch(load_crepe(options.size)(frames)))[:, 0]
    columns = torch.stack([made, heard, fundamental(frames), 100 * share_at(frames, heard)], dim=1)
    print("member   made with   CREPE hears  autocorrelation  energy there")
    for record, row in zip(found.members, columns.tolist(), strict=True):
        print(f"{record.index:>6}  {row[0]:7.1f} Hz  {row[1]:9.1f} Hz  {row[2]:12.1f} Hz  {row[3]:10.1f} %")
    ends = zip(columns.amin(dim=0).tolist(), columns.amax(dim=0).tolist(), strict=True)
    print("ranges: " + ", ".join(f"{low:.1f} to {high:.1f}" for low, high in ends))
    away = 1200 * (heard / made).log2()
    print(f"made with another pitch than CREPE {options.size} hears: {int((away.abs() > FAR).sum())} of {len(away)}")


if __name__ == "__main__":
    main()
