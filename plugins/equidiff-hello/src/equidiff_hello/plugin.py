"""The components of this plugin. `equidiff --help` imports this module, so it must stay light: no torch here."""

from __future__ import annotations

from pydantic import Field

from equidiff.plugin import Descriptor, Options, hookimpl


class BrightnessOptions(Options):
    """Options of `brightness`."""

    middle: float = Field(1.0, gt=0, le=1, description="fraction of the width and height to measure, around the centre")


@hookimpl
def equidiff_objectives() -> list[Descriptor]:
    """The brightness of an image."""
    return [
        Descriptor(
            name="brightness",
            factory="equidiff_hello.brightness:build",
            summary="Mean grey level of an image, in per cent.",
            options=BrightnessOptions,
            examples=("brightness", "brightness,middle=0.5"),
        )
    ]


@hookimpl
def equidiff_regularizers() -> list[Descriptor]:
    """A view of the image under a Gaussian blur."""
    return [
        Descriptor(
            name="blur",
            factory="equidiff_hello.blur:build",
            summary="The measurement must also hold for the image under a Gaussian blur.",
            argument="standard deviation in pixels, above 0 (default 1)",
            examples=("blur", "blur:2.5"),
            synonyms={"sigma": ":{value}"},
        )
    ]
