"""Prior samples that a run measures before it searches: how much f varies, and what the network calls them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from equidiff.bank.key import UINT8
from equidiff.contracts import Predictor, Value
from equidiff.errors import UsageError
from equidiff.numerics.random import Stream, prior_latents
from equidiff.run.settings import Tolerance
from equidiff.search.attempt import attempt, each_row
from equidiff.search.batching import Passes, width_of
from equidiff.search.problem import Problem

COUNT = 64  # the spread is known to about a tenth then
DIGITS = 4  # of the spread: the last digits of float32 depend on the batch, and must not decide who is a member


@dataclass(frozen=True, eq=False)
class PriorSamples:
    """Prior samples and their measurements; the same for every seed, target and objective of a generator.

    Attributes:
        samples: `[count, *sample_shape]`, as the run writes them, on the CPU.
        measurements: `[count, m]`.
        losses: `[count]`: how far each is from the target of the run.
        classes: `[count]`, the index of the class that the network calls each; empty without a predictor.
        spread: root mean square distance of the measurements from their mean, in their unit.
        rounded: samples are images of 8 bits.
    """

    samples: Tensor
    measurements: Tensor
    losses: Tensor
    classes: Tensor
    spread: float
    rounded: bool

    def tensors(self) -> dict[str, Tensor]:
        """The content of `prior.safetensors`; images as 8 bits where that is what the run writes."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, Tensor) and len(value)}
        return own | {"samples": (self.samples * 255).round().to(torch.uint8)} if self.rounded else own


# The samples of the generators used last, before rounding: a session asks one generator about many units. Two, because
# more would hold memory for nothing.
_kept: OrderedDict[Hashable, Tensor] = OrderedDict()
MOST_KEPT, MOST_BYTES = 2, 64 * 2**20


@torch.no_grad()
def measure_prior(
    problem: Problem,
    predictor: Predictor | None,
    batch: int,
    key: Hashable | None = None,
    drawn: tuple[Tensor, int] | None = None,
    time_limit: float | None = None,
) -> PriorSamples:
    """Make prior samples and measure them; those that the objective or the predictor raises an error for are left out.

    Args:
        problem: the equation.
        predictor: says what the network calls each.
        batch: as for `draw_prior`.
        key: as for `draw_prior`.
        drawn: what `draw_prior` returned, if it was called before.
        time_limit: as for `draw_prior`.

    Raises:
        Exception: not even one sample fits, or a component raises it for every sample.
    """
    made, batch = drawn or draw_prior(problem, batch, key, time_limit)

    def measure(rows: Tensor) -> tuple[Tensor, ...]:
        samples = problem.written(rows)
        classes = torch.empty(0) if predictor is None else predictor.probabilities(samples).argmax(dim=1)
        return samples, *problem.judge(samples), classes

    measured = [part for rows in made.split(batch) for part in each_row(measure, rows, time_limit)]
    parts = [part for part in measured if not isinstance(part, BaseException)]
    if not parts:
        raise next(part for part in measured if isinstance(part, BaseException))
    samples, measurements, losses, classes = (torch.cat(each) for each in zip(*parts, strict=True))
    as_images = problem.saved and problem.kind.precision == UINT8
    spread = spread_of(problem, measurements)
    return PriorSamples(samples.cpu(), measurements.cpu(), losses.cpu(), classes.cpu(), spread, as_images)


@torch.no_grad()
def draw_prior(
    problem: Problem, batch: int, key: Hashable | None = None, time_limit: float | None = None
) -> tuple[Tensor, int]:
    """Samples `[COUNT, *sample_shape]` before rounding, on the run's device, and the rows that fit into one pass.

    Args:
        problem: the equation; its target does not matter.
        batch: rows in one pass; fewer, where they do not fit into memory.
        key: all that the generator's samples depend on; they are made once for each. None to make them anew.
        time_limit: seconds that a pass of one sample may take; no limit when None.

    Raises:
        Exception: not even one sample fits, or a component raises it for every sample.
    """
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key], batch
    device = problem.target.device
    latents = prior_latents(problem.generator, COUNT, 0, Stream.SPREAD).to(device)
    passes = Passes(batch, width_of(problem), time_limit).wide
    answer, failures = passes.compute(Value(latents), problem.continuous)
    if answer is None:
        raise failures[0]
    samples = answer.samples
    for row in failures:  # the objective's fault, as a rule
        made = attempt(partial(problem.generator.generate, latents[row : row + 1]), time_limit)
        if not isinstance(made, BaseException):
            samples[row : row + 1] = made
    if key is not None and not failures and samples.nbytes <= MOST_BYTES:
        _kept[key] = samples
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return samples, passes.batch


def spread_of(problem: Problem, measurements: Tensor) -> float:
    """Root mean discrepancy from the mean measurement, to a few digits; 0 where all are equal."""
    finite = measurements[measurements.isfinite().all(dim=1)]
    if not len(finite):
        return 0.0
    # on the CPU: Apple's GPUs have no float64
    mean = finite.cpu().double().mean(dim=0).to(finite)
    spread = float(problem.objective.discrepancy(finite, mean).cpu().double().mean().sqrt())
    return float(f"{spread:.{DIGITS}g}")


def absolute_tolerance(given: Tolerance, problem: Problem, prior: PriorSamples | None) -> float:
    """The loss below which a sample is a member.

    Where prior samples all have the same measurement, so that there is no spread, the target's distance from that
    measurement takes its place.

    Raises:
        UsageError: a part of a spread is asked for where it cannot be told.
    """
    if not given.relative:
        return given.value
    if prior is None:
        raise UsageError("A relative tolerance needs prior samples.", given=f"{given.value:.0%}", expected="a loss")
    scale = prior.spread or _distance(problem, prior)
    if not math.isfinite(scale):
        raise UsageError(
            f"The measurement is not finite for any of {len(prior.losses)} prior samples, "
            "so a tolerance cannot be a part of how much it varies.",
            given=f"{given.value:.0%}",
            expected="a loss, or a measurement that is finite",
            hint="--tolerance 0.001",
        )
    if scale == 0:
        raise UsageError(
            f"The measurement is the same for all of {len(prior.losses)} prior samples and for the query, "
            "so a tolerance cannot be a part of how much it varies.",
            given=f"{given.value:.0%}",
            expected="a loss, or a measurement that varies",
            hint="--tolerance 0.001",
        )
    return problem.weight * (given.value * scale) ** 2


def _distance(problem: Problem, prior: PriorSamples) -> float:
    constant = prior.measurements[:1].to(problem.target.device)
    return float(problem.objective.discrepancy(constant, problem.target).sqrt())
