"""`auto` from end to end for 32 members: time in passes, and time of the host between them."""

from __future__ import annotations

import time
from unittest.mock import patch

import torch

from device_parts import models
from device_parts.plan import Clock, Plan, Rows
from equidiff.builtin.regularizers.lowpass import LowPass
from equidiff.builtin.solvers.auto import Auto
from equidiff.search.batching import Passes
from equidiff.search.engine import MEMBER, Result, solve
from equidiff.search.problem import Problem


def run(plan: Plan, clock: Clock, rows: Rows) -> None:
    """A line for each precision."""
    members, batch, steps = (4, 4, 3) if plan.small else (32, 16, 25)
    objective = models.Unit(plan)
    for dtype in ("bfloat16", "float32"):
        if clock.out():
            return
        torch.set_float32_matmul_precision("high")
        generator = models.flow(plan, steps=steps, dtype=dtype)
        rows.append(_search(plan, clock, generator, objective, members, batch) | {"name": f"{dtype}, {steps} steps"})
    torch.set_float32_matmul_precision("highest")


def _search(
    plan: Plan, clock: Clock, generator: models.LightningDiTGenerator, objective: models.Unit, count: int, batch: int
) -> dict[str, object]:
    latents = torch.randn(8, *generator.latent_shape, generator=torch.Generator().manual_seed(5)).to(plan.device)
    with torch.no_grad():
        values = objective.measure(generator.generate(latents))
    spread = values.std(dim=0)
    target = values.mean(dim=0) + 1.5 * spread
    problem = Problem(generator, objective, LowPass(), target, saved=True)
    in_passes = 0.0
    compute = Passes.compute

    def timed(passes: Passes, request, equation):  # noqa: ANN001, ANN202
        nonlocal in_passes
        plan.synchronize()
        started = time.perf_counter()
        answer = compute(passes, request, equation)
        plan.synchronize()
        in_passes += time.perf_counter() - started
        return answer

    started, results = time.perf_counter(), []
    with patch.object(Passes, "compute", timed):
        settings = {"seed": 0, "batch": batch, "budget": 32, "tolerance": float((0.08 * spread).square())}
        for event in solve(problem, Auto(), range(count), **settings):
            results += [event] if isinstance(event, Result) else []
            if clock.out():
                break
    wall = time.perf_counter() - started
    return {
        "name": "",
        "asked": count,
        "finished": len(results),
        "members": sum(result.status == MEMBER for result in results),
        "evaluations": sum(result.cost.evaluations for result in results) / max(len(results), 1),
        "wall s": wall,
        "in passes s": in_passes,
        "host s": wall - in_passes,
        "host share": (wall - in_passes) / wall,
    }
