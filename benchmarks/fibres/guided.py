"""The solver `ndtm` for all samples of all queries at once: the same samples, twenty times as fast.

The engine makes a problem for each query, and passes of a few rows. Guidance asks for the same at every row, so here
all go through the network together. A test compares the samples and the cost with the solver's.
"""

from __future__ import annotations

import torch
from task import Task
from torch import Tensor

from equidiff.builtin.solvers.ndtm import GUIDED_BELOW, LONGEST_GRADIENT, Ndtm
from equidiff.contracts import StepwiseSampler
from equidiff.numerics.random import Stream


def guide_all(task: Task, solver: Ndtm, count: int) -> tuple[Tensor, float]:
    """Guided samples `[queries, count, *sample_shape]`, and the cost of one in prior samples.

    Args:
        task: the queries.
        solver: whose settings are taken.
        count: samples of each query.
    """
    streams = [Stream.SAMPLE.open(query, index) for query in range(len(task.queries)) for index in range(count)]

    def draw() -> Tensor:
        return torch.cat([torch.randn(1, *task.generator.latent_shape, generator=each) for each in streams])

    sampler = task.generator.stepwise_sampler(solver.steps)
    assert sampler is not None
    targets = task.targets.repeat_interleave(count, dim=0)
    states, last, guided = sampler.begin(draw()), len(sampler.noise_levels) - 1, 0
    for step, level in enumerate(sampler.noise_levels):
        if level < GUIDED_BELOW:
            guided += 1
            states = _guided(task, solver, sampler, states, targets, step)
        if step < last:
            noise = draw() if sampler.stochastic else None
            with torch.no_grad():
                states = sampler.advance(states, step, noise)
    with torch.no_grad():
        samples = sampler.predict(states, last)
    trajectory = task.problem(0).trajectory(solver.steps)
    assert trajectory is not None
    predictions = 3 * solver.updates * guided + 1
    cost = predictions * trajectory.prediction_share + last * trajectory.advance_share
    return samples.unflatten(0, (len(task.queries), count)), cost


def _guided(task: Task, solver: Ndtm, sampler: StepwiseSampler, states: Tensor, targets: Tensor, step: int) -> Tensor:
    control = torch.zeros_like(states[:, :1], requires_grad=True)
    optimizer = torch.optim.Adam([control], lr=solver.lr * (1 - step / len(sampler.noise_levels)))
    for _ in range(solver.updates):
        moved = torch.cat([states[:, :1] + solver.gamma * control, states[:, 1:]], dim=1)
        distance = (task.objective.measure(sampler.predict(moved, step)) - targets).norm(dim=1)
        length = control.flatten(1).square().sum(dim=1)
        (gradient,) = torch.autograd.grad((distance + solver.control * solver.gamma**4 * length).sum(), control)
        size = gradient.flatten(1).norm(dim=1).reshape(-1, *[1] * (gradient.ndim - 1))
        control.grad = gradient * (LONGEST_GRADIENT / (size + 1e-6)).clamp(max=1)
        optimizer.step()
    return torch.cat([states[:, :1] + solver.gamma * control.detach(), states[:, 1:]], dim=1)
