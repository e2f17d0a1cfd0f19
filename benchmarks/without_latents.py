"""Two methods that make samples without a latent, so that they are no solvers: to be compared with, not to be used.

Both aim at the target and end somewhere near it; what is within tolerance is counted, as for solvers.
"""

from itertools import pairwise

import torch
from torch import Tensor

from equidiff.generators.fashion import FashionFlow
from equidiff.problem import Problem

STEPS = 256  # of activation maximisation
VARIATION = 0.05  # weight of the total variation of neighbouring pixels
GUIDANCE = 4  # image-space gradient steps in each sampler step


def in_pixels(problem: Problem, count: int, tolerance: float, seed: int = 0) -> tuple[Tensor, Tensor, float]:
    """Gradient descent on pixels with a total-variation penalty, from grey noise: the classical way.

    Returns:
        Samples, which of them are within tolerance, and the cost of each in plain samples.

    References:
        Mahendran and Vedaldi (2015), "Understanding deep image representations by inverting them".
    """
    random = torch.Generator().manual_seed(seed)
    start = 0.5 + 0.1 * torch.randn(count, *problem.generator.sample_shape, generator=random)
    pixels = torch.nn.Parameter(start)
    optimizer = torch.optim.Adam([pixels], lr=0.02)
    done = torch.zeros(count, dtype=torch.bool)
    kept, steps = start.clone(), torch.zeros(count)
    for _ in range(STEPS):
        loss = _loss(problem, pixels)
        fresh = (loss.detach() < tolerance) & ~done
        kept[fresh], done = pixels.detach()[fresh], done | fresh
        steps[~done] += 1
        if done.all():
            break
        across, down = pixels.diff(dim=-1), pixels.diff(dim=-2)
        variation = across.abs().flatten(1).mean(dim=1) + down.abs().flatten(1).mean(dim=1)
        optimizer.zero_grad()
        (loss + VARIATION * variation).sum().backward()
        optimizer.step()
    kept[~done] = pixels.detach()[~done]
    views = 1 + len(problem.regularizer.views(kept[:1]))
    return kept, done, 3 * views * problem.objective_share * steps.mean().item()


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
