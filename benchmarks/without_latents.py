"""A method that makes samples without a latent, so that it is no solver: to be compared with, not to be used.

It aims at the target and ends somewhere near it; what is within tolerance is counted, as for solvers.
"""

from itertools import pairwise

import torch
from torch import Tensor

from equidiff.builtin.generators.fashion import FashionFlow
from equidiff.search.problem import Problem

GUIDANCE = 4  # image-space gradient steps in each sampler step


def guided(problem: Problem, count: int, tolerance: float, seed: int = 0) -> tuple[Tensor, Tensor, float]:
    """One pass through the sampler, each of whose clean images is moved towards the target first.

    No gradient is taken through the flow (MPGD; the inner loop of TFG). For the generator `toy:fashion`.

    References:
        He et al. (2024), "Manifold preserving guided diffusion". https://arxiv.org/abs/2311.16424
        Ye et al. (2024), "TFG: unified training-free guidance". https://arxiv.org/abs/2409.15761
    """
    generator = problem.generator
    assert isinstance(generator, FashionFlow)
    random = torch.Generator().manual_seed(seed)
    state = torch.randn(count, *generator.latent_shape, generator=random)
    steps = generator.steps or 1
    times = [k / steps for k in range(steps + 1)]
    for now, after in pairwise(times):
        with torch.no_grad():
            clean = generator.flow(state, state.new_full((count,), now))
        clean = 2 * _towards(problem, (clean + 1) / 2) - 1
        state = state + (after - now) / (1 - now) * (clean - state)
    samples = (state + 1) / 2
    with torch.no_grad():
        done = _loss(problem, samples) < tolerance
    views = 1 + len(problem.regularizer.views(samples[:1]))
    return samples, done, 1 + 3 * GUIDANCE * steps * views * problem.objective_share


def _towards(problem: Problem, samples: Tensor) -> Tensor:
    """A few steps down the loss, each as long as would zero it if it were linear, at most."""
    for _ in range(GUIDANCE):
        leaf = samples.detach().requires_grad_()
        loss = _loss(problem, leaf)
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        length = gradient.flatten(1).square().sum(dim=1).clamp(min=1e-12)
        samples = leaf.detach() - (loss.detach() / length).reshape(-1, 1, 1, 1) * gradient
    return samples


def _loss(problem: Problem, samples: Tensor) -> Tensor:
    _, unfiltered, filtered = problem.measure(samples)
    return unfiltered if filtered is None else unfiltered + filtered
