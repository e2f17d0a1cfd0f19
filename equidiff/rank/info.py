"""The content of `rank.json` as models, which check what others may have written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, lt=2**63)]


class Part(BaseModel):
    """A part of `rank.json`; keys of later versions are kept."""

    model_config = ConfigDict(strict=True, extra="allow")


class Settings(Part):
    """The settings of a scan, as `Plan` has them."""

    model_config = ConfigDict(extra="forbid")

    images: str
    model: str
    layer: str | None = None
    labels: str | None = None
    top: Annotated[int, Field(ge=1, lt=2**31)]
    batch: Annotated[int, Field(ge=1, lt=2**31)]
    device: str


class Counts(Part):
    """Numbers of images."""

    images: Count
    scanned: Count
    broken: Count


class RankInfo(Part):
    """The keys of `rank.json` that are read."""

    status: Literal["running", "interrupted", "complete"]
    settings: Settings
    layer: str
    units: Annotated[int, Field(ge=1, lt=2**31)]
    first_unit: str
    classes: list[str]
    weights: list[dict[str, str]]
    versions: dict[str, str]
    counts: Counts
    broken: dict[str, str] = Field(default_factory=dict)
    wall_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
