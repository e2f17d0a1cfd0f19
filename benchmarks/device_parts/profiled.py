"""Kernels of one gradient of the flow, by what they do: the part that is not matrix work, and its largest shares."""

from __future__ import annotations

from collections import Counter

import torch
from torch.profiler import ProfilerActivity, profile

from device_parts import models
from device_parts.plan import Clock, Plan, Rows

MATRIX = ("mm", "addmm", "bmm", "conv", "attention", "linear", "gemm", "mkldnn")
MOST = 12


def run(plan: Plan, clock: Clock, rows: Rows) -> None:
    """A line for matrix work, and one for each other operation that takes much time."""
    steps, batch = (2, 2) if plan.small else (4, 16)
    generator = models.flow(plan, steps=steps, dtype="bfloat16")
    latents = torch.randn(batch, *generator.latent_shape, device=plan.device).requires_grad_()

    def gradient() -> None:
        torch.autograd.grad(generator.generate(latents).square().sum(), latents)

    gradient()
    if clock.out():
        return
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * plan.is_cuda
    with profile(activities=kinds) as found:
        gradient()
        plan.synchronize()
    times: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for event in found.key_averages():
        spent = event.self_device_time_total if plan.is_cuda else event.self_cpu_time_total
        # on a GPU, events of the CPU stand for the kernels that they start
        if spent > 0 and event.key.startswith("aten::"):
            name = event.key.removeprefix("aten::")
            name = "matrix products" if any(word in name for word in MATRIX) else name
            times[name] += spent
            counts[name] += event.count
    total = sum(times.values())
    for name, spent in times.most_common(MOST):
        rows.append({"name": name, "calls": counts[name], "ms": spent / 1000, "share": spent / total})
    other = total - times["matrix products"]
    rows.append({"name": "all but matrix products", "calls": 0, "ms": other / 1000, "share": other / total})
