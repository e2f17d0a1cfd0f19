"""`infinite`: Algorithm 1 of the thesis (appendix .1), gradient descent on the start noise.

References:
    Augustin et al. (2024), "DiG-IN", algorithm 1. https://arxiv.org/abs/2311.17833
"""

from __future__ import annotations

import itertools
from typing import final

import torch

from equidiff.builtin.solvers.descriptors import InfiniteOptions
from equidiff.contracts import BuildContext, Coroutine, ResidualFunction, Solver, Step
from equidiff.types import Latents


@final
class Infinite(Solver):
    """Algorithm 1: optimise z by a first-order method until the loss is below the tolerance or the budget is spent.

    Args:
        lr: learning rate eta.
        optimizer: "sgd", "adam" or "shampoo".
        weight: lambda, the factor on the loss.
    """

    budget = 512
    tolerance = 0.01

    def __init__(self, lr: float = 10.0, optimizer: str = "sgd", weight: float = 1.0) -> None:
        self.lr = lr
        self.weight = weight
        self.optimizer = optimizer

    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        z = torch.nn.Parameter(latents[0].clone())
        optimizer = self._optimizer(z)
        for number in itertools.count():
            answer = yield from residual.gradient(z.detach()[None].clone())
            yield Step(number, answer)
            loss = answer.loss.item()
            if loss < residual.tolerance or not answer.gradient.isfinite().all():
                return
            z.grad = answer.gradient[0]
            optimizer.step()

    def _optimizer(self, z: torch.nn.Parameter) -> torch.optim.Optimizer:
        if self.optimizer == "sgd":
            return torch.optim.SGD([z], lr=self.lr)
        if self.optimizer == "adam":
            return torch.optim.Adam([z], lr=self.lr)
        from pytorch_optimizer import Shampoo

        return Shampoo([z], lr=self.lr)


def build(argument: str | None, options: InfiniteOptions, context: BuildContext) -> Solver:
    """Build `infinite`."""
    return Infinite(options.lr, options.optimizer, options.weight)
