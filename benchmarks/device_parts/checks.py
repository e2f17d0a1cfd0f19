"""Every shipped generator and objective on the device against the CPU; determinism; running out of memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from device_parts.plan import Clock, Plan, Rows
from equidiff.builtin.regularizers.lowpass import LowPass
from equidiff.builtin.regularizers.none import NoRegularizer
from equidiff.contracts import BuildContext, Generator, Value
from equidiff.doctor.memory import SampleSum
from equidiff.registry.build import build
from equidiff.registry.manager import Plugins
from equidiff.search.batching import Passes
from equidiff.search.problem import Problem

GENERATORS = ("toy:fashion,steps=4", "toy:circles", "pixels:16", "lightningdit:fashion,steps=4")
OBJECTIVES = {
    "toy:fashion,steps=4": (
        "neuron:17", "classifier:bag", "classifier,output=logit", "classifier,output=distribution",
        "layer:block3,model=fashion", "neuron:17+0.5*classifier:bag", "sae:17",
    ),
    "toy:circles": ("neuron:3",),
}  # fmt: skip
LIMITS = {"float32": 0.02, "bfloat16": 0.3}  # relative difference: TF32 convolutions keep ten bits, bfloat16 seven


def run(plan: Plan, clock: Clock, rows: Rows) -> None:
    """One line for each comparison."""
    for generator, objective in _pairs():
        # bfloat16 is the generator's alone; small, one comparison of it is enough
        for dtype in ("float32",) if plan.small and objective else LIMITS:
            if clock.out():
                return
            rows.append(_compare(plan, generator, objective, dtype))
    rows.append(_out_of_memory(plan))


def _pairs() -> Iterator[tuple[str, str | None]]:
    for generator in GENERATORS:
        yield generator, None
        for objective in OBJECTIVES.get(generator, ()):
            yield generator, objective


def _compare(plan: Plan, generator: str, objective: str | None, dtype: str) -> dict[str, object]:
    exact = _problem("cpu", generator, objective, "float32")
    other = _problem(plan.device, generator, objective, dtype)
    latents = torch.randn(3, *exact.generator.latent_shape, generator=torch.Generator().manual_seed(2))
    expected = exact.gradient(latents)
    first, second = (other.gradient(latents.to(plan.device)) for _ in range(2))
    same = torch.equal(first.samples, second.samples) and torch.equal(first.gradient, second.gradient)
    worst = max(_difference(getattr(first, name), getattr(expected, name)) for name in ("samples", "measurements"))
    return {
        "name": f"{generator}{'' if objective is None else ' ' + objective}",
        "dtype": dtype,
        "value": worst,
        "gradient": _difference(first.gradient, expected.gradient),
        "repeatable": same,
        "good": worst < LIMITS[dtype],
    }


def _problem(device: str, generator: str, objective: str | None, dtype: str) -> Problem:
    plugins = Plugins()
    source: Generator = build(plugins, "generator", generator, BuildContext(device, dtype)).component
    context = BuildContext(device, dtype, source)
    measure = SampleSum() if objective is None else build(plugins, "objective", objective, context).component
    views = LowPass() if len(source.sample_shape) == 3 else NoRegularizer()
    return Problem(source, measure, views, torch.full((len(measure.names),), 0.1, device=device))


def _difference(found: Tensor, expected: Tensor) -> float:
    found, expected = found.cpu().float(), expected.float()
    return float((found - expected).norm() / expected.norm().clamp(min=1e-6))


class _Greedy(Generator):
    """Takes a third of the free memory for each row; on the CPU, where that would hurt, it only says so."""

    latent_shape = sample_shape = (1, 4, 4)

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.rows: list[int] = []
        self._each = torch.cuda.mem_get_info(plan.device)[0] // 3 if plan.is_cuda else 0

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        self.rows.append(len(latents))
        if not self._plan.is_cuda and len(latents) > 2:
            raise torch.OutOfMemoryError("out of memory")
        held = torch.empty(len(latents), self._each, dtype=torch.uint8, device=latents.device)
        return latents.sin() + 0 * held[:, :1].sum()


def _out_of_memory(plan: Plan) -> dict[str, object]:
    """A pass of eight rows is halved until it fits, and its values are those of single rows."""
    generator = _Greedy(plan)
    problem = Problem(generator, SampleSum(), NoRegularizer(), torch.zeros(1, device=plan.device))
    latents = torch.randn(8, 1, 4, 4).to(plan.device)
    passes = Passes(8)
    losses = _losses(passes, problem, latents)
    alone = torch.cat([_losses(Passes(1), problem, row) for row in latents.split(1)])
    good = len(passes.news) > 0 and passes.batch <= 2 and torch.allclose(losses, alone)
    return {"name": "out of memory: halved", "rows": passes.batch, "halvings": len(passes.news), "good": good}


def _losses(passes: Passes, problem: Problem, latents: Tensor) -> Tensor:
    """The losses of latents `[n, ...]`, as `[n]`, none of which fails."""
    answer, failures = passes.compute(Value(latents), problem)
    if answer is None or failures:
        raise RuntimeError(f"{len(failures)} of {len(latents)} rows failed")
    return answer.loss
