"""Schedulers of diffusers.

Four steps of each scheduler in a pipeline that it was made for, with the settings that `from_config` gives it or those
named. Stochastic ones draw the same noise in both images.
"""

from __future__ import annotations

from collections.abc import Iterator

from equidiff_diffusers.build import from_pipeline
from equidiff_diffusers.schedulers import REASONS, SHORT

from benchmarks.parity import Row
from benchmarks.parity.diffusers_pipelines import LIBRARIES, measure, tiny

__all__ = ["LIBRARIES", "rows"]


def rows() -> Iterator[Row]:
    """A row for each scheduler in each pipeline, and for each one that is refused."""
    from tiny import schedules

    pairs = [(scheduler, family, {}) for scheduler in sorted(SHORT.values()) for family in schedules.homes(scheduler)]
    for scheduler, family, settings in [*pairs, *schedules.SETTINGS]:
        pipeline = schedules.put(tiny.build(family), scheduler, settings)
        call = schedules.call(family)
        generator = from_pipeline(pipeline, **measure.choices(call))
        named = ", ".join([family, *(f"{name}={value}" for name, value in settings.items())])
        yield Row(f"`{scheduler}`", named, measure.difference(generator, pipeline, call))
    for scheduler in sorted(REASONS):
        yield Row(f"`{scheduler}`", "", refused=REASONS[scheduler])
