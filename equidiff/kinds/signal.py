"""Signals: amplitudes over time in [-1, 1], kept as 16-bit WAV files."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from PIL.Image import Image
from torch import Tensor

from equidiff.contracts.sample_kind import STRIP, Change, SampleKind, StraightThrough
from equidiff.errors import PluginError, QueryError
from equidiff.images.read import is_there
from equidiff.kinds.signal_changes import CHANGES, resample
from equidiff.kinds.signal_drawing import draw_signal
from equidiff.kinds.spectrogram import decibels

STEPS = 2**15  # of a 16-bit number on each side of zero
LOW, HIGH = -1.0, (STEPS - 1) / STEPS
FASTEST = 384_000  # Hz, of any file that people play
WAV = "a WAV file (PCM or float)"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Signal(SampleKind):
    """Signals `[samples]` or `[channels, samples]`, nominally in [-1, 1]: sounds, where people can hear them.

    A file holds 16 bits a sample, which every program plays. A member is judged as its file holds it.

    Args:
        rate: samples per second, in Hz.

    Raises:
        PluginError: the rate is not a whole number that a WAV file can have.
    """

    rate: int

    name: ClassVar[str] = "signal"
    noun: ClassVar[str] = "sound"
    plural: ClassVar[str] = "sounds"
    heading: ClassVar[str] = "Sound"
    values: ClassVar[str] = "amplitudes"
    compared_by: ClassVar[str] = "decibels of their spectrograms"
    precision: ClassVar[str] = "int16"
    bounded: ClassVar[bool] = True
    suffix: ClassVar[str | None] = ".wav"
    folder: ClassVar[str] = "sounds"
    query_in_words: ClassVar[str] = "the path of a WAV file"
    query_hint: ClassVar[str] = "--query SOUND.wav"

    def __post_init__(self) -> None:
        if not isinstance(self.rate, int) or isinstance(self.rate, bool) or not 1 <= self.rate <= FASTEST:
            raise PluginError(
                "This is not the rate of a signal.",
                given=f"rate={self.rate!r}",
                expected=f"samples per second, an integer from 1 to {FASTEST}",
                hint="kind = Signal(rate=16000)",
            )

    @property
    def shapes(self) -> str:
        return "(samples,) or (1 or 2 channels, samples)"

    def fits(self, shape: Sequence[int]) -> bool:
        return len(shape) == 1 or (len(shape) == 2 and shape[0] in {1, 2})

    def describe(self, shape: Sequence[int]) -> str:
        channels = " in two channels" if len(shape) == 2 and shape[0] == 2 else ""
        return f"sounds of {shape[-1]} samples{channels} at {self.rate} Hz ({shape[-1] / self.rate:.4g} s)"

    def rounded(self, samples: Tensor) -> Tensor:
        return (samples.clamp(LOW, HIGH) * STEPS).round() / STEPS

    def saved(self, samples: Tensor) -> Tensor:
        return StraightThrough.apply(samples, self.rounded(samples), LOW, HIGH)

    def excess(self, samples: Tensor) -> Tensor:
        return samples - samples.clamp(-1, 1)

    def beyond(self, distance: str) -> str:
        return (
            f"the range of a sound by much (up to {distance}, root mean square), which is clipped in the files: listen "
            "to them with care."
        )

    def compared(self, samples: Tensor) -> Tensor:
        return decibels(self.rounded(samples)).flatten(1)

    def write(self, file: Path, sample: Tensor) -> None:
        file.write_bytes(self.sound(sample))

    def read(self, file: Path, shape: tuple[int, ...]) -> Tensor:
        return self._fitted(file, shape)[0]

    def read_query(self, source: str, shape: tuple[int, ...]) -> tuple[str, Tensor]:
        file = Path(source).expanduser()
        if not is_there(file, WAV):
            raise QueryError("The query does not exist.", given=source, expected=WAV, hint="--query prior")
        sample, rate = self._fitted(file, shape)
        return f"{file}{'' if rate == self.rate else f', resampled from {rate} Hz'}", sample

    def _fitted(self, file: Path, shape: tuple[int, ...]) -> tuple[Tensor, int]:
        """The sound of a file, `[1, *shape]`, and the rate of the file: resampled if that is another."""
        waves, rate = _read_wav(file)
        if rate != self.rate:
            waves = resample(waves, self.rate, rate)
            waves = _off_by_one(waves, shape[-1])
        if waves.shape[-1] != shape[-1]:
            raise QueryError(
                "The sound does not have the length of this generator's.",
                given=f"{file}, of {waves.shape[-1]} samples at {self.rate} Hz ({waves.shape[-1] / self.rate:.4g} s)",
                expected=self.describe(shape),
            )
        channels = shape[0] if len(shape) == 2 else 1
        if len(waves) != channels:  # as grey and RGB become each other
            waves = waves.mean(dim=0, keepdim=True).expand(channels, -1)
        return waves.reshape(1, *shape).contiguous(), rate

    def tile(self, sample: Tensor, side: int) -> Image:
        return draw_signal(self.rounded(sample.detach().float().cpu()), side)

    def sound(self, sample: Tensor) -> bytes:
        from scipy.io import wavfile

        numbers = (self.rounded(sample.detach().float().cpu()) * STEPS).round().to(torch.int16)
        content = io.BytesIO()
        wavfile.write(content, self.rate, (numbers.T if numbers.ndim == 2 else numbers).contiguous().numpy())
        return content.getvalue()

    @property
    def changes(self) -> Mapping[str, tuple[str, Change]]:
        return {name: (words, lambda rows, change=change: self.rounded(change(rows)))
                for name, (words, change) in CHANGES.items()}  # fmt: skip

    def grid_shape(self, shape: Sequence[int]) -> tuple[int, int, int]:
        return (shape[0] if len(shape) == 2 else 1), 1, shape[-1]

    def maps(self, shape: Sequence[int]) -> str:
        return STRIP

    @property
    def parameters(self) -> dict[str, Any]:
        return {"rate": self.rate}

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Signal:
        return cls(values["rate"])


def _read_wav(file: Path) -> tuple[Tensor, int]:
    """Amplitudes of a file in [-1, 1], `[channels, samples]`, and its rate."""
    import warnings

    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of chunks that are no sound, such as titles
            rate, numbers = wavfile.read(file)
    except Exception as error:  # the reader of a damaged file raises errors of any kind
        raise QueryError(f"The sound cannot be read: {error}", given=file, expected=WAV) from error
    numbers = np.atleast_2d(numbers.T)
    if numbers.dtype.kind == "f":
        scaled = numbers.astype(np.float32)
    elif numbers.dtype == np.uint8:
        scaled = (numbers.astype(np.float32) - 128) / 128
    else:
        scaled = (numbers.astype(np.float64) / 2.0 ** (8 * numbers.dtype.itemsize - 1)).astype(np.float32)
    if not scaled.size or not math.isfinite(float(np.abs(scaled).sum())) or rate < 1:
        raise QueryError("The sound has no finite samples.", given=file, expected=WAV)
    return torch.from_numpy(np.ascontiguousarray(scaled)), int(rate)


def _off_by_one(waves: Tensor, length: int) -> Tensor:
    """Waves of this length, where rounding of their length at another rate gave them one sample more or less."""
    missing = length - waves.shape[-1]
    return torch.nn.functional.pad(waves, (0, missing)) if abs(missing) == 1 else waves
