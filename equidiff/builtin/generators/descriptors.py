"""Descriptors and options of the generators that ship with EquiDiff."""

from __future__ import annotations

from pydantic import Field

from equidiff.builtin.references import LIPMAN, MAHENDRAN, XIAO
from equidiff.plugin import Descriptor, Options


class ToyOptions(Options):
    """Options of `toy`."""

    steps: int | None = Field(None, ge=1, le=1000, description="sampler steps (fashion only)")
    checkpoint: bool = Field(False, description="recompute each sampler step in the backward pass, to save memory")


class PixelsOptions(Options):
    """Options of `pixels`."""

    contrast: float = Field(
        0.1, gt=0, le=1, description="standard deviation of the pixels of a prior sample, for pixels from 0 to 1"
    )


GENERATORS = [
    Descriptor(
        "toy",
        "equidiff.builtin.generators.toy:build",
        "Small generators that ship with EquiDiff: garments (28x28, grey) or points in the plane.",
        argument="fashion (default): a flow model of Fashion-MNIST; circles: the rings of figure 3.1 of the thesis",
        options=ToyOptions,
        references=(LIPMAN, XIAO),
        examples=("toy", "toy:fashion,steps=20", "toy:circles"),
        synonyms={name: ":{value}" for name in ("name", "kind", "type", "model", "dataset")},
    ),
    Descriptor(
        "pixels",
        "equidiff.builtin.generators.pixels:build",
        "Images without a prior: a latent is the image itself, up to brightness and contrast.",
        argument="SIZE (a grey square), HEIGHTxWIDTH (grey) or HEIGHTxWIDTHxCHANNELS, with 1 or 3 channels",
        options=PixelsOptions,
        references=(MAHENDRAN,),
        examples=("pixels:28", "pixels:224x224x3", "pixels:28,contrast=0.2"),
        synonyms={"size": ":{value}", "shape": ":{value}", "std": "contrast", "sigma": "contrast"},
    ),
]
