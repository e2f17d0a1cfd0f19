"""`lbfgs`: quasi-Newton descent on the start noise with a line search, as D-Flow does it.

References:
    Ben-Hamu et al. (2024), "D-Flow: differentiating through flows for controlled generation".
    https://arxiv.org/abs/2402.14017
"""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import final

import torch
from torch import Tensor

from equidiff.builtin.solvers.callback import Ask, drive
from equidiff.builtin.solvers.descriptors import LbfgsOptions
from equidiff.builtin.solvers.progress import Progress
from equidiff.contracts import Answer, BuildContext, Coroutine, ResidualFunction, Solver
from equidiff.types import Latents

ITERATIONS = 200  # before it gives up on a start; a line search that fails ends it sooner


@final
class Lbfgs(Solver):
    """L-BFGS with strong Wolfe line search; from a fresh start where it ends without success.

    Args:
        history: pairs of steps and gradient changes that are kept.
    """

    budget = 128

    def __init__(self, history: int = 20) -> None:
        self.history = history

    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        numbers = itertools.count()
        while not (yield from drive(lambda ask, start=latents: self._minimize(ask, start), residual, numbers)):
            latents = residual.draw(1)

    def _minimize(self, ask: Ask, start: Latents) -> None:
        minimize(ask, start, history=self.history)


def minimize(ask: Ask, start: Latents, patience: int | None = None, history: int = 20) -> None:
    """L-BFGS with strong Wolfe line search.

    Args:
        ask: answers with loss and gradient.
        start: `[1, *latent_shape]`.
        patience: ends after this many evaluations in which the loss did not halve; never for that reason when absent.
        history: steps that the curvature is estimated from.
    """
    # on the CPU: the line search reads a dozen numbers for each evaluation, and would wait for a device at each
    z = torch.nn.Parameter(start.cpu().clone())
    progress = Progress(patience)

    def closure() -> Tensor:
        answer = ask(z.detach().clone().to(start.device))
        _note(progress, answer)
        z.grad = answer.gradient.cpu()
        return answer.loss[0]

    with suppress(StopIteration):
        _optimizer(z, history).step(closure)


def minimize_on_sphere(ask: Ask, start: Latents, patience: int, history: int = 20) -> None:
    """L-BFGS over latents of the start's length: those of a standard normal have hardly any other.

    Minimises over w, whose latent is `|start| w / |w|`.

    Args:
        ask: answers with loss and gradient.
        start: `[1, *latent_shape]`.
        patience: ends after this many evaluations in which the loss did not halve.
        history: steps that the curvature is estimated from.
    """
    w = torch.nn.Parameter(start.cpu().clone())
    radius, progress = w.detach().norm(), Progress(patience)

    def closure() -> Tensor:
        direction = w.detach() / w.detach().norm()
        answer = ask((radius * direction).to(start.device))
        _note(progress, answer)
        gradient = answer.gradient.cpu()
        along = (gradient * direction).sum()
        w.grad = radius / w.detach().norm() * (gradient - along * direction)
        return answer.loss[0]

    with suppress(StopIteration):
        _optimizer(w, history).step(closure)


def _note(progress: Progress, answer: Answer) -> None:
    """Note an evaluation; raises StopIteration, which ends the optimizer, where it is enough."""
    progress.note(answer)
    if progress.stalled:
        raise StopIteration


def _optimizer(latents: torch.nn.Parameter, history: int) -> torch.optim.LBFGS:
    return torch.optim.LBFGS(
        [latents],
        max_iter=ITERATIONS,
        max_eval=10 * ITERATIONS,
        history_size=history,
        line_search_fn="strong_wolfe",
    )


def build(argument: str | None, options: LbfgsOptions, context: BuildContext) -> Solver:
    """Build `lbfgs`."""
    return Lbfgs(options.history)
