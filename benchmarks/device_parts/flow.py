"""LightningDiT-XL/1 and a ResNet-50 at 256 px, with the image's low-pass view: speed and memory of a pass."""

from __future__ import annotations

import itertools

import torch

from device_parts import models
from device_parts.plan import Clock, Plan, Rows, flops
from equidiff.builtin.regularizers.lowpass import LowPass
from equidiff.builtin.solvers.auto import Auto
from equidiff.devices import is_out_of_memory
from equidiff.doctor.memory import predict_pass
from equidiff.search.problem import Problem

MIB = 2**20
# the cases that say most come first: the time may not suffice for all
CASES = [(16, 10), (16, 50), (64, 10), (8, 25), (32, 25), (64, 50)]
SMALL = [(2, 3), (2, 6)]
PRECISIONS = [("bfloat16", False), ("tf32", False), ("bfloat16", True), ("float32", False)]


def run(plan: Plan, clock: Clock, rows: Rows) -> None:
    """A line for each batch, number of steps and precision."""
    objective = models.Unit(plan)
    peak = plan.matrix_rate(torch.bfloat16)
    cases = SMALL if plan.small else CASES
    precisions = PRECISIONS[:2] if plan.small else PRECISIONS
    for (dtype, compiled), (batch, steps) in itertools.product(precisions, cases):
        if dtype == "float32" and steps > cases[0][1]:
            continue  # an order slower: one number of steps tells as much
        if clock.out():
            break
        torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
        try:
            rows.append(_measure(plan, objective, peak, dtype, compiled, batch, steps))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            rows.append({"name": f"{dtype}, {batch} rows, {steps} steps: out of memory"})
        if plan.is_cuda:
            torch.cuda.empty_cache()
    torch.set_float32_matmul_precision("highest")


def _measure(
    plan: Plan, objective: models.Unit, peak: float, dtype: str, compiled: bool, batch: int, steps: int
) -> dict[str, object]:
    generator = models.flow(
        plan, steps=steps, dtype="bfloat16" if dtype == "bfloat16" else "float32", compiled=compiled
    )
    problem = Problem(generator, objective, LowPass(), torch.zeros(1, device=plan.device))
    latents = torch.randn(batch, *generator.latent_shape, generator=torch.Generator().manual_seed(0)).to(plan.device)
    predicted = None if compiled else predict_pass(problem, Auto(), batch, plan.device).pass_ / MIB
    problem.gradient(latents)  # not timed: kernels are chosen, or compiled
    needed = flops(lambda: problem.value(latents[:1])) * batch if not compiled else None
    forward, both = (plan.seconds(lambda work=work: work(latents)) for work in (problem.value, problem.gradient))
    # the backward pass computes every step again, and costs as much as the forward pass besides: the weights are frozen
    return {
        "name": f"{dtype}{', compiled' * compiled}",
        "rows": batch,
        "steps": steps,
        "forward s": forward,
        "gradient s": both,
        "share forward": None if needed is None else needed / forward / peak,
        "share backward": None if needed is None else 2 * needed / max(both - forward, 1e-9) / peak,
        "peak MiB": plan.peak_mib(lambda: problem.gradient(latents)),
        "predicted MiB": predicted,
    }
