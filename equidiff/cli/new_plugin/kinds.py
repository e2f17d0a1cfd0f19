"""The component that a new plugin of each kind begins with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What the files of one kind differ in.

    Attributes:
        summary: of the component.
        option: declaration of its one option.
        imports: that the declaration needs, beside pydantic.
        setting: of the option, as an example types it.
        command: that uses the component, whose name stands at {name}.
        needs: distributions beside those of every plugin.
    """

    summary: str
    option: str
    setting: str
    command: str
    imports: str = ""
    needs: tuple[str, ...] = ()


OF_KIND = {
    "generator": Kind(
        "Smooth grey textures of 28 x 28 pixels.",
        'smoothness: float = Field(2.0, ge=0.5, le=10, description="standard deviation of the blur, in pixels")',
        "smoothness=4",
        "equidiff run --generator {name} --objective neuron:17 --regularizer none --samples 4",
    ),
    "objective": Kind(
        "Contrast of neighbouring pixels, in per cent.",
        'distance: int = Field(1, ge=1, le=8, description="of the neighbours, in pixels")',
        "distance=2",
        "equidiff run --objective {name} --regularizer none --query 3 --samples 4",
    ),
    "regularizer": Kind(
        "The measurement must also hold for the mirror image.",
        'axis: Literal["horizontal", "vertical"] = Field("horizontal", description="to mirror along")',
        "axis=vertical",
        "equidiff run --regularizer {name} --query 3 --samples 4",
        "from typing import Literal\n\n",
    ),
    "solver": Kind(
        "Damped Gauss-Newton steps.",
        'length: float = Field(0.7, gt=0, le=1, description="of a step; 1 solves a linear residual at once")',
        "length=1",
        "equidiff run --solver {name} --query 3 --samples 4",
    ),
    "law": Kind(
        "The prior, given that the loss is below the tolerance.",
        'moves: int = Field(16, ge=1, le=10_000, description="transitions of each member")',
        "moves=64",
        "equidiff run --law {name} --query 3 --samples 4",
    ),
    "attribution": Kind(
        "Size of the gradient, averaged over neighbouring pixels.",
        'reach: int = Field(1, ge=0, le=20, description="pixels on each side to average over")',
        "reach=2",
        "equidiff run --samples 4 --out runs/first && "
        "equidiff compare runs/first --methods {name},saliency --members 2",
    ),
    "executor": Kind(
        "A pool of processes of this machine.",
        'workers: int = Field(2, ge=1, le=64, description="number of processes")',
        "workers=4",
        "equidiff run --executor {name} --samples 4",
        needs=("pebble>=5.1",),
    ),
}
