"""Settings of a calibration, as its folder keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from equidiff.run.settings import Settings

MOST_QUERIES = 2**20
Count = Annotated[int, Field(ge=1, le=MOST_QUERIES)]


class Plan(BaseModel):
    """The settings of a calibration.

    Attributes:
        generator, objective, regularizer, solver, law, budget, tolerance, batch, seed, device, dtype, start, saved,
            time_limit, bank: of each search, as for a run.
        queries: how many.
        members: to search for each of them.
        images: folder that the queries come from; prior samples when None.
        features: space in which samples are compared; the default of `equidiff evaluate` when None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    generator: str = "toy"
    objective: str = "neuron:17"
    regularizer: str | None = None
    solver: str = "auto"
    law: str = "solve"
    budget: float | None = None
    tolerance: str | None = None
    batch: int = 16
    seed: Annotated[int, Field(ge=0, lt=2**40)] = 0
    device: str = "auto"
    dtype: str = "auto"
    start: str = "prior"
    saved: str = "uint8"
    time_limit: float | None = None
    bank: str | None = None
    queries: Count = 64
    members: Count = 7
    images: str | None = None
    features: str | None = None

    @property
    def settings(self) -> Settings:
        """The settings of a search, before it has its query."""
        own = {"queries", "members", "images", "features"}
        return Settings(**self.model_dump(exclude=own), samples=self.members)

    @property
    def folder_of_images(self) -> Path | None:
        """The folder that the queries come from."""
        return None if self.images is None else Path(self.images)
