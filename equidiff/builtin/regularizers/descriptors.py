"""Descriptors and options of the regularizers that ship with EquiDiff."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from equidiff.builtin.references import MAHENDRAN
from equidiff.plugin import Descriptor, Options


class LowPassOptions(Options):
    """Options of `lowpass`."""

    edge: Literal["ideal", "smooth"] = Field(
        "ideal",
        description="ideal: a hard cut-off as in the thesis, which rings; smooth: a raised cosine, which does not",
    )


REGULARIZERS = [
    Descriptor(
        "lowpass",
        "equidiff.builtin.regularizers.lowpass:build",
        "The measurement must also hold for the low spatial frequencies alone.",
        argument="cut-off as a fraction of the Nyquist frequency, above 0, at most 1 (default 0.5)",
        options=LowPassOptions,
        examples=("lowpass", "lowpass:0.3", "lowpass:0.5,edge=smooth"),
        synonyms={
            **dict.fromkeys(("cutoff", "cut-off", "cut_off", "frequency", "fraction", "radius"), ":{value}"),
            **dict.fromkeys(("kind", "type", "filter", "window"), "edge"),
        },
    ),
    Descriptor(
        "tv",
        "equidiff.builtin.regularizers.tv:build",
        "A penalty on total variation, the mean difference of neighbouring pixels, above a limit.",
        argument="the limit, above 0, for pixels in [0, 1] (default 0.15, the median of Fashion-MNIST)",
        references=(MAHENDRAN,),
        examples=("tv", "tv:0.08"),
        synonyms={name: ":{value}" for name in ("limit", "threshold", "max", "bound")},
    ),
    Descriptor("none", "equidiff.builtin.regularizers.none:build", "No views and no penalty.", examples=("none",)),
]
