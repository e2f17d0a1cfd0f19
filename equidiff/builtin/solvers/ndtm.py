"""`ndtm`: guidance of the sampler along its way, by non-linear diffusion trajectory matching.

Other solvers look for a latent. This one takes a single way through the sampler and pushes its state x before each step
by a control u, so that the clean sample that the network sees in it measures as it should:

    minimise  |f(x0(x + gamma u)) - y*| + kappa gamma^4 |u|^2

by a few updates of Adam from u = 0. Their gradients are clipped to length 1, and their rate falls linearly along the
way. Early steps, whose states are mostly noise, are left alone. The terms and the defaults are those of the published
code for its experiments with vectors. A term for changes of the predicted noise has no weight there; it is left out
here, with the evaluation that only it needs.

Nothing makes such a sample exact, and it has no latent. It gets one by encoding: integrating the sampler backwards.
What that latent leads to is the result, and is judged as any other: so a run can be resumed, walked through, and taken
further by a law. A sample that the encoding moved out of the tolerance is no member.

References:
    Rousselot, Wendebourg and Köthe (2026), "Show me what you don't know: efficient sampling from invariant sets for
        model validation", section 3.2 and appendix C. https://arxiv.org/abs/2603.21782
    Pandey et al. (2025), "Variational control for guidance in diffusion models". https://arxiv.org/abs/2502.03686
"""

from __future__ import annotations

from typing import final

import torch

from equidiff.builtin.solvers.descriptors import NdtmOptions
from equidiff.contracts import (
    Answer,
    BuildContext,
    Coroutine,
    Equation,
    ResidualFunction,
    Solver,
    Step,
)
from equidiff.errors import UsageError
from equidiff.types import Latents, States

# published: times below 500 of 1,000, whose betas grow linearly from 1e-4 to 0.02; the level at 500 is 3.443
GUIDED_BELOW = 3.44
LONGEST_GRADIENT = 1.0


@final
class Ndtm(Solver):
    """Guidance towards the target along one way through the sampler; the sample is then encoded.

    Args:
        gamma: strength; a control moves the state by gamma times itself.
        updates: of the control before each step.
        lr: their rate at the first step; it falls linearly to none at the end.
        control: kappa, the weight of the squared length of the control.
        steps: of the sampler.
    """

    budget = 2048

    def __init__(
        self, gamma: float = 5.0, updates: int = 10, lr: float = 0.02, control: float = 3e-4, steps: int = 200
    ) -> None:
        self.gamma, self.updates, self.lr, self.control, self.steps = gamma, updates, lr, control, steps

    def solve(self, latents: Latents, residual: ResidualFunction, budget: float) -> Coroutine[None]:
        yield Step(0, (yield from residual.value(latents)))
        guided = yield from self.guide(latents, residual)
        yield Step(1, (yield from residual.encode(guided.samples, self.steps)))

    def guide(self, latents: Latents, residual: ResidualFunction) -> Coroutine[Answer]:
        """Guide one way through the sampler.

        Args:
            latents: one row, where it begins.
            residual: c(z), of a sampler that can be guided.

        Returns:
            The sample that it ends in, before it is encoded; the answer's latents are the sampler's last state.
        """
        sampler = residual.stepwise_sampler(self.steps)
        states, count = sampler.begin(latents), len(sampler.noise_levels)
        for step, level in enumerate(sampler.noise_levels):
            if level < GUIDED_BELOW:
                states = yield from self._guided(states, step, self.lr * (1 - step / count), residual)
            if step + 1 == count:
                break
            noise = residual.draw(1) if sampler.stochastic else None
            states = (yield from residual.advance(states, step, self.steps, noise)).states
        return (yield from residual.prediction(states, step, self.steps))

    def _guided(self, states: States, step: int, lr: float, residual: ResidualFunction) -> Coroutine[States]:
        """States moved by the control that was found before a step."""
        control = torch.nn.Parameter(torch.zeros_like(states[:, :1]))
        optimizer = torch.optim.Adam([control], lr=lr)
        for _ in range(self.updates):
            moved = self._moved(states, control.detach())
            answer = yield from residual.prediction_gradient(moved, step, self.steps)
            # the gradient of the distance, from that of its square
            distance = answer.loss.sqrt().clamp(min=1e-12).to(moved.device)
            gradient = self.gamma * answer.gradient[:, :1] / (2 * distance)
            gradient = gradient + 2 * self.control * self.gamma**4 * control.detach()
            control.grad = gradient * (LONGEST_GRADIENT / (gradient.norm() + 1e-6)).clamp(max=1)
            optimizer.step()
        return self._moved(states, control.detach())

    def _moved(self, states: States, control: States) -> States:
        return torch.cat([states[:, :1] + self.gamma * control, states[:, 1:]], dim=1)

    def check(self, equation: Equation) -> None:
        """Refuse a generator whose sampler cannot be guided."""
        if equation.trajectory(self.steps) is not None:
            return
        given = type(equation.generator).__name__
        if equation.generator.stepwise_sampler(self.steps) is not None:
            given = f"the penalty of {type(equation.regularizer).__name__}, which is one of latents"
        raise UsageError(
            "The solver 'ndtm' guides a sampler step by step, which is not possible here.",
            given=given,
            expected="a generator with a stepwise_sampler(), such as toy:fashion, and no penalty of latents",
            hint="--solver auto",
        )

    def describe(self, equation: Equation) -> str:
        """The number of steps, and that latents are encoded afterwards."""
        return f"{self.steps} guided sampler steps; latents are encoded from the samples that these end in"


def build(argument: str | None, options: NdtmOptions, context: BuildContext) -> Solver:
    """Build `ndtm`."""
    return Ndtm(options.gamma, options.updates, options.lr, options.control, options.steps)
