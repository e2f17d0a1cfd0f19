"""What this plugin offers. `equidiff --help` imports this module, so it must stay light: no torch here."""

from __future__ import annotations

from pydantic import Field

from equidiff.plugin import Descriptor, Options, hookimpl


class BrightnessOptions(Options):
    """Options of `brightness`."""

    middle: float = Field(
        1.0, gt=0, le=1, description="fraction of the width and height that counts, around the centre"
    )


@hookimpl
def equidiff_objectives() -> list[Descriptor]:
    """How bright a picture is."""
    return [
        Descriptor(
            name="brightness",
            factory="equidiff_hello.brightness:build",
            summary="Mean grey level of a picture, in per cent.",
            options=BrightnessOptions,
            examples=("brightness", "brightness,middle=0.5"),
        )
    ]


@hookimpl
def equidiff_regularizers() -> list[Descriptor]:
    """The measurement must hold for the blurred picture, too."""
    return [
        Descriptor(
            name="blur",
            factory="equidiff_hello.blur:build",
            summary="The measurement must also hold for the picture under a Gaussian blur.",
            argument="standard deviation in pixels, above 0 (default 1)",
            examples=("blur", "blur:2.5"),
        )
    ]
