"""Checks of `equidiff doctor -g ... -o ...`: the components of a run, tried before the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL.Image import Image
from torch._subclasses.fake_tensor import DataDependentOutputException

from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import BuildContext, Finding, Generator, Objective, Solver, Weights
from equidiff.devices import choose_device, choose_dtype, device_memory, set_precision
from equidiff.doctor.memory import Memory, SampleSum, predict_pass
from equidiff.errors import EquiDiffError, InexactInverseError, UnsupportedError, first_line
from equidiff.images.fit import fit_image
from equidiff.images.folder import find_images
from equidiff.images.read import read_image
from equidiff.kinds.registry import kind_of
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.run.settings import Settings
from equidiff.search.problem import Problem

GIB = 2**30
ROUND_TRIP_IMAGES = 16


@dataclass(frozen=True)
class Checkup:
    """Components to examine, and how.

    Attributes:
        generator: a spec string.
        objective: a spec string; without one, the generator is examined alone.
        regularizer: a spec string; as in a run when absent.
        samples: number of samples per pass.
        images: a folder of images to try the components on.
        device: as in a run.
        dtype: as in a run.
    """

    generator: str = "toy"
    objective: str | None = None
    regularizer: str | None = None
    samples: int = 16
    images: Path | None = None
    device: str = "auto"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        Settings(samples=self.samples, dtype=self.dtype)  # refuses what a run would refuse


def examine_components(checkup: Checkup, plugins: Plugins) -> Iterator[Finding]:
    """Build the components, try them on the images and predict the memory of a pass.

    Raises:
        EquiDiffError: a component cannot be built, or an image cannot be read.
    """
    device = choose_device(checkup.device)
    weights: list[Weights] = []
    dtype = set_precision(choose_dtype(checkup.dtype, device), device)
    alone = BuildContext(device, dtype, weights=weights)
    generator: Generator = build(plugins, "generator", checkup.generator, alone).component
    yield Finding("generator", _describe(generator))
    context = BuildContext(device, dtype, generator, weights)
    objective: Objective = SampleSum()
    if checkup.objective is not None:
        objective = build(plugins, "objective", checkup.objective, context).component
        yield Finding("objective", f"{', '.join(objective.names[:3])}{', ...' * (len(objective.names) > 3)}")
    for record in weights:
        yield Finding("weights", f"{record.name}, SHA-256 {record.sha256[:12]}...")
    images = _read(checkup.images) if checkup.images else []
    if images:
        yield from _round_trip(generator, images[:ROUND_TRIP_IMAGES], device)
    yield from objective.examine(images)
    yield from _memory(checkup, plugins, generator, objective, context)


def _describe(generator: Generator) -> str:
    latent, sample = ("x".join(map(str, shape)) for shape in (generator.latent_shape, generator.sample_shape))
    steps = "" if generator.steps is None else f", {generator.steps} sampler steps"
    return f"latents of {latent}, samples of {sample}{steps}"


def _read(folder: Path) -> list[Image]:
    return [read_image(folder / file.path) for file in find_images(folder)]


@torch.no_grad()
def _round_trip(generator: Generator, images: Sequence[Image], device: str) -> Iterator[Finding]:
    """Error of `generate(invert(x))`, in standard deviations of the images."""
    if not kind_of(generator).is_image:
        return
    samples = torch.cat([fit_image(image, generator.sample_shape) for image in images]).to(device)
    try:
        again = generator.generate(generator.invert(samples))
    except InexactInverseError as error:
        again = generator.generate(error.latents)
    except UnsupportedError as error:
        yield Finding("round trip", error.problem)
        return
    error = (again - samples).square().mean(dim=(1, 2, 3)).sqrt() / samples.std(dim=(1, 2, 3)).clamp(min=1e-6)
    yield Finding(
        "round trip",
        f"error after inverting and regenerating {len(images)} images: {error.median():.3f} standard deviations "
        f"(median; largest {error.max():.3f})",
    )


def _memory(
    checkup: Checkup, plugins: Plugins, generator: Generator, objective: Objective, context: BuildContext
) -> Iterator[Finding]:
    what, rows = f"memory, {checkup.samples} samples per pass", checkup.samples
    regularizer = NoRegularizer()
    if checkup.objective is not None:
        spec = checkup.regularizer or kind_of(generator).regularizer
        regularizer = build(plugins, "regularizer", spec, context).component
    target = torch.zeros(len(objective.names), device=context.device)
    problem = Problem(generator, objective, regularizer, target)
    solver: Solver = build(plugins, "solver", Settings().solver, context).component
    try:
        found = predict_pass(problem, solver, rows, context.device)
    except EquiDiffError:
        raise
    except Exception as error:  # an objective may read values, which a prediction does not compute
        reason = "the pass reads values" if isinstance(error, DataDependentOutputException) else first_line(error)
        yield _try_one(problem, context.device) or Finding(what, f"cannot be predicted: {reason}")
        return
    memory = device_memory(context.device)
    yield _judge(what, found, memory and memory[0], rows)


def _try_one(problem: Problem, device: str) -> Finding | None:
    """Finding about one real sample if the pass fails on it, else None."""
    try:
        problem.value(torch.zeros(1, *problem.generator.latent_shape, device=device))
    except Exception as error:
        return Finding("one sample", f"fails: {type(error).__name__}: {first_line(error)}", broken=True)
    return None


def _judge(what: str, found: Memory, free: int | None, rows: int) -> Finding:
    state = f"{_size(found.peak)}: {_size(found.weights)} of weights, {_size(found.pass_)} in the pass"
    if free is None:
        return Finding(what, state)
    room = free + found.weights  # the weights are on the device already
    fits = max(0, int((free / found.pass_) * rows)) if found.pass_ else rows
    state += f"; {_size(room)} free"
    if found.peak <= room:
        return Finding(what, state)
    remedy = f"; use --batch {fits}" if fits else ", not even a single sample"
    return Finding(what, f"{state}. Does not fit{remedy}", broken=True)


def _size(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB else f"{count / 2**20:.1f} MiB"
