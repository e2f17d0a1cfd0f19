"""Compare the sounds of a run by their pitch and by their spectrum: `python heard.py RUN`.

Three numbers for each sound: the pitch that CREPE hears; the fundamental frequency by autocorrelation, which knows
nothing of CREPE; and the share of the energy at that pitch, between 0.5 and 1.5 times its frequency.
"""

from __future__ import annotations

import sys

import torch
from equidiff_audio.network import first_frame, frequency_of, load_crepe
from equidiff_audio.objective import pitch
from equidiff_audio.plugin import RATE
from torch import Tensor

import equidiff


def fundamental(frames: Tensor, low: float = 60, high: float = 1200) -> Tensor:
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
    """Print the query and the members, and the range of each column over the members."""
    found = equidiff.load(sys.argv[1])
    names = [f"{record.index}" for record in found.members]
    sounds = found.samples
    if found.query is not None:
        names, sounds = ["query", *names], torch.cat([found.query, sounds])
    frames = first_frame(sounds)
    heard = frequency_of(pitch(load_crepe("tiny")(frames)))[:, 0]
    columns = torch.stack([heard, fundamental(frames), 100 * share_at(frames, heard)], dim=1)
    print("sound     CREPE hears  autocorrelation  energy there")
    for name, row in zip(names, columns.tolist(), strict=True):
        print(f"{name:>5}  {row[0]:10.1f} Hz  {row[1]:12.1f} Hz  {row[2]:10.1f} %")
    members = columns[-len(found.members) :]
    lowest, highest = members.amin(dim=0).tolist(), members.amax(dim=0).tolist()
    print("range  " + ", ".join(f"{one:.1f} to {other:.1f}" for one, other in zip(lowest, highest, strict=True)))


if __name__ == "__main__":
    main()
