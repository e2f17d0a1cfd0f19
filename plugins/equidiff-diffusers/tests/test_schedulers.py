"""Every scheduler class of the installed diffusers: its pipeline's own image, or a refusal with a reason."""

import pytest
import tiny
from equidiff_diffusers.build import from_pipeline
from equidiff_diffusers.schedulers import REASONS, SHORT
from tiny import measure, schedules

from equidiff.errors import UnsupportedError

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own, about configurations

PAIRS = [(scheduler, family, {}) for scheduler in SHORT.values() for family in schedules.homes(scheduler)]


@pytest.mark.parametrize(("scheduler", "family", "settings"), [*PAIRS, *schedules.SETTINGS])
def test_a_scheduler_gives_the_pipelines_own_image(scheduler, family, settings):
    pipeline = schedules.put(tiny.build(family), scheduler, settings)
    call = schedules.call(family)
    generator = from_pipeline(pipeline, **measure.choices(call))
    assert measure.difference(generator, pipeline, call) < 1e-4


def test_every_other_scheduler_is_refused_with_a_reason():
    others = set(schedules.classes()) - set(SHORT.values())
    assert others == set(REASONS)
    pipeline = tiny.build("sd")
    for name in sorted(others):
        pipeline.scheduler = type(name, (type(pipeline.scheduler),), {}).from_config(pipeline.scheduler.config)
        with pytest.raises(UnsupportedError, match=name):
            from_pipeline(pipeline)
