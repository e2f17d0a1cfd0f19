"""Checks of the contract of a generator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from PIL.Image import Image
from torch import Tensor

from equidiff.contracts import Generator, SplitSampler, StepwiseSampler
from equidiff.errors import UnsupportedError
from equidiff.registry.trial.inputs import makes_images
from equidiff.registry.trial.value_range import range_problem
from equidiff.testing.failure import Check, ContractError, require, run_all
from equidiff.testing.numerics import check_map, check_tensor

RANGE = "range of images"
INVERSION_TOLERANCE = 0.1
SPLIT_TOLERANCE = 1e-3  # standard deviations
REENCODING_TOLERANCE = 0.5


def check_generator(generator: Generator, *, rows: int = 3, device: str = "cpu", trained: bool = True) -> None:
    """Check that a generator keeps its contract.

    Shapes and dtype, determinism, gradients against finite differences, independence of rows, the range of images, the
    coarser sampler, the generator's own queries, and its inverse, its split sampler and its stepwise sampler where it
    has them.

    Args:
        generator: what to check.
        rows: latents to try it with, at least two.
        device: where the generator is.
        trained: False for a network with random weights, whose images are in no range: that is not checked then.

    Raises:
        ContractError: the generator breaks its contract.
    """
    checks = generator_checks(generator, rows=rows, device=device)
    run_all([each for each in checks if trained or each.title != RANGE])


def generator_checks(generator: Generator, *, rows: int = 3, device: str = "cpu") -> list[Check]:
    """The checks of a generator, by name; see `check_generator`."""
    tried = _Tried(generator, rows, device)
    return [
        Check("shapes and names", tried.check_attributes),
        Check("samples, their rows and gradients", tried.check_samples),
        Check(RANGE, tried.check_range),
        Check("fewer sampler steps", tried.check_coarse),
        Check("queries", lambda: _check_queries(generator, tried.name)),
        Check("inverse", lambda: _check_inverse(generator, tried.samples, tried.name)),
        Check("split sampler", tried.check_split),
        Check("stepwise sampler", tried.check_stepwise),
    ]


@dataclass(frozen=True)
class _Tried:
    """A generator that is tried with a few latents."""

    generator: Generator
    rows: int
    device: str

    @cached_property
    def name(self) -> str:
        return type(self.generator).__name__

    @cached_property
    def latents(self) -> Tensor:
        stream = torch.Generator().manual_seed(1)
        return torch.randn(self.rows, *self.generator.latent_shape, generator=stream).to(self.device)

    @cached_property
    def samples(self) -> Tensor:
        with torch.no_grad():
            return self.generator.generate(self.latents)

    def check_attributes(self) -> None:
        generator, name = self.generator, self.name
        require(isinstance(generator, Generator), f"{name} is not a Generator", "a subclass of equidiff.Generator")
        for attribute in ("latent_shape", "sample_shape"):
            _check_shape(getattr(generator, attribute, None), f"{name}.{attribute}")
        named = generator.network is None or isinstance(generator.network, str)
        require(named, f"{name}.network is {generator.network!r}", "the name of a network, or None")

    def check_samples(self) -> None:
        what = f"{self.name}.generate"
        samples = check_map(self.generator.generate, self.latents, self.generator.sample_shape, what)
        asked = "samples that differ where their latents do"
        require(not torch.equal(samples[0], samples[1]), f"{what} gives the same sample twice", asked)

    def check_range(self) -> None:
        problem = range_problem(self.samples) if makes_images(self.generator) else None
        if problem is not None:
            asked = f"images in [0, 1], but for a little overshoot; write: {problem[1]}"
            raise ContractError(f"{self.name}.generate gives images with {problem[0]}", asked)

    def check_coarse(self) -> None:
        with torch.no_grad():
            coarse = self.generator.generate(self.latents, steps=2)
        shape = (self.rows, *self.generator.sample_shape)
        check_tensor(coarse, shape, f"{self.name}.generate(..., steps=2)")

    def check_split(self) -> None:
        sampler = self.generator.split_sampler()
        if sampler is not None:
            _check_split(sampler, self.latents, self.samples, f"{self.name}.split_sampler()")

    def check_stepwise(self) -> None:
        stepwise = self.generator.stepwise_sampler()
        if stepwise is not None:
            _check_stepwise(stepwise, self.latents, self.generator, f"{self.name}.stepwise_sampler()")


def _check_shape(shape: object, what: str) -> None:
    good = isinstance(shape, tuple) and len(shape) > 0 and all(isinstance(side, int) and side > 0 for side in shape)
    require(good, f"{what} is {shape!r}", "a tuple of positive whole numbers, without the batch axis")


def _check_queries(generator: Generator, name: str) -> None:
    queries = generator.queries()
    if isinstance(queries, Tensor):
        check_tensor(queries, (len(queries), *generator.sample_shape), f"{name}.queries")
        return
    for index, query in enumerate(queries):
        what = f"{name}.queries()[{index}]"
        require(isinstance(query, Image), f"{what} is a {type(query).__name__}", "images, or one tensor of points")
        require(query.mode in {"L", "RGB"}, f"{what} has mode {query.mode}", "mode L or RGB")


def _check_inverse(generator: Generator, samples: Tensor, name: str) -> None:
    try:
        with torch.no_grad():
            latents = generator.invert(samples)
    except UnsupportedError:
        return
    check_tensor(latents, (len(samples), *generator.latent_shape), f"{name}.invert")
    with torch.no_grad():
        again = generator.generate(latents)
    off = float((again - samples).square().mean().sqrt() / samples.std().clamp(min=1e-6))
    asked = "latents that `generate` maps back to the samples, or UnsupportedError"
    problem = f"{name}.invert is off: what its latents generate differs by {off:.2g} standard deviations"
    require(off < INVERSION_TOLERANCE, problem, asked)


def _check_split(sampler: SplitSampler, latents: Tensor, samples: Tensor, name: str) -> None:
    asked = "a subclass of equidiff.contracts.SplitSampler, or None"
    require(isinstance(sampler, SplitSampler), f"{name} is not a SplitSampler", asked)
    other = latents + 0.1 * latents.roll(1, dims=0)
    with torch.no_grad():
        states, towards = sampler.begin(latents), sampler.begin(other)
    check_tensor(states, (len(latents), *states.shape[1:2], *latents.shape[1:]), f"{name}.begin")
    whole = check_map(sampler.finish, states, tuple(samples.shape[1:]), f"{name}.finish")
    off = float((whole - samples).square().mean().sqrt() / samples.std().clamp(min=1e-6))
    problem = f"{name}: finish(begin(z)) differs from generate(z) by {off:.2g} standard deviations"
    require(off < SPLIT_TOLERANCE, problem, "the same samples")
    moved = torch.cat([towards[:, :1], states[:, 1:]], dim=1)
    with torch.no_grad():
        found = sampler.reencode(latents, states, moved)
        check_tensor(found, tuple(latents.shape), f"{name}.reencode")
        left = float((sampler.begin(found) - moved)[:, 0].norm() / (states - moved)[:, 0].norm().clamp(min=1e-12))
    require(
        left < REENCODING_TOLERANCE,
        f"{name}.reencode is off: its latents lead to states {left:.2g} of the distance away from the moved ones",
        f"less than {REENCODING_TOLERANCE} of it",
    )


def _check_stepwise(sampler: StepwiseSampler, latents: Tensor, generator: Generator, name: str) -> None:
    asked = "a subclass of equidiff.contracts.StepwiseSampler, or None"
    require(isinstance(sampler, StepwiseSampler), f"{name} is not a StepwiseSampler", asked)
    levels = sampler.noise_levels
    falling = len(levels) > 0 and all(after < before for before, after in pairwise(levels)) and levels[-1] > 0
    require(falling, f"{name}.noise_levels are {levels!r}", "a number above 0 for each step, each below the one before")
    noise = torch.zeros_like(latents) if sampler.stochastic else None
    with torch.no_grad():
        states = sampler.begin(latents)
        shape = (len(latents), *states.shape[1:2], *latents.shape[1:])
        check_tensor(states, shape, f"{name}.begin")
        for step in range(len(levels) - 1):
            states = sampler.advance(states, step, noise)
        check_tensor(states, shape, f"{name}.advance")
    last = len(levels) - 1
    samples = check_map(lambda rows: sampler.predict(rows, last), states, generator.sample_shape, f"{name}.predict")
    with torch.no_grad():
        check_tensor(sampler.encode(samples), tuple(latents.shape), f"{name}.encode")
