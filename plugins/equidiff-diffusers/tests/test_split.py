"""Samplers in two parts, and the memory of a pass."""

import pytest
import tiny
import torch
from allocations import most_allocated
from equidiff_diffusers.schedulers import with_scheduler
from torch.utils.flop_counter import FlopCounterMode

import equidiff
from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.doctor.memory import SampleSum, predict
from equidiff.search.problem import Problem
from equidiff.testing import check_generator

pytestmark = pytest.mark.filterwarnings("ignore")  # diffusers' own, about configurations

SIZED = {"prompt": "a cat", "size": 16}


def generator_of(name, scheduler=None, **options):
    pipeline = tiny.build(name)
    if scheduler is not None:
        pipeline.scheduler = with_scheduler(pipeline, scheduler)
    return equidiff.diffusers(pipeline, **options)


@pytest.mark.parametrize(
    ("name", "scheduler", "options"),
    [
        ("flux", None, SIZED),  # a flow whose states are packed
        ("sd2", None, {"prompt": "a cat", "guidance": 1}),
        ("sd2", "euler", {"prompt": "a cat", "guidance": 1}),  # a first state of another scale, and inputs of another
    ],
)
def test_a_sampler_stopped_and_continued_is_the_whole(name, scheduler, options):
    generator = generator_of(name, scheduler, steps=6, **options)
    assert generator.split_sampler() is not None
    check_generator(generator, rows=2)


@pytest.mark.parametrize(
    ("name", "scheduler", "options"),
    [
        ("sdxl-turbo", None, {"prompt": "a cat", "steps": 6}),  # it draws noise
        ("sd", "pndm", {"prompt": "a cat", "steps": 6}),  # it remembers
        ("ddim", None, {"steps": 6}),  # it clips
        ("flux", None, {**SIZED, "steps": 2}),
    ],
)
def test_samplers_that_are_not_split(name, scheduler, options):
    assert generator_of(name, scheduler, **options).split_sampler() is None


def test_the_tail_costs_its_own_steps_alone():
    generator = generator_of("flux", steps=8, **SIZED)
    sampler = generator.split_sampler()
    states = sampler.begin(torch.randn(1, *generator.latent_shape))
    tail, one, two = (
        flops(work)
        for work in (
            lambda: sampler.finish(states),
            lambda: generator.generate(states[:, 0], steps=1),
            lambda: generator.generate(states[:, 0], steps=2),
        )
    )
    step = two - one
    assert tail == pytest.approx(one - step + (8 - sampler.step) * step, rel=0.01)


def flops(work):
    with FlopCounterMode(display=False) as count, torch.no_grad():
        work()
    return count.get_total_flops()


def gradient(generator, latents):
    problem = Problem(generator, SampleSum(), NoRegularizer(), torch.zeros(1))
    return problem.gradient(latents)


def test_memory_is_predicted_and_hardly_grows_with_steps():
    generator = generator_of("dit", label=1, guidance=2, steps=2)
    real = {}
    for steps in (4, 12):
        generator.steps = steps
        latents = torch.randn(2, *generator.latent_shape)
        real[steps] = most_allocated(gradient, generator, latents)
        predicted = predict(lambda latents: gradient(generator, latents), generator.latent_shape, 2).pass_
        assert predicted == pytest.approx(real[steps], rel=0.25)
    assert real[12] < 1.2 * real[4]
    kept = generator_of("dit", label=1, guidance=2, steps=12, checkpoint=False)
    assert most_allocated(gradient, kept, latents) > 2 * real[12]
