"""The equation to solve: c(z) = 0, with generator, objective, regularizer and target in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equidiff.contracts import Answer, Generator, Objective, Regularizer


@dataclass(frozen=True)
class Problem:
    """One target, and everything needed to say how far a latent is from it.

    Attributes:
        generator: G.
        objective: f.
        regularizer: F.
        target: y*, `[m]`, on the run's device.
        weight: lambda, the factor on every squared residual.
    """

    generator: Generator
    objective: Objective
    regularizer: Regularizer
    target: Tensor
    weight: float = 1.0

    def value(self, latents: Tensor, steps: int | None = None) -> Answer:
        """Loss and residuals, without a graph."""
        with torch.no_grad():
            return _detached(self._forward(latents, steps))

    def gradient(self, latents: Tensor, steps: int | None = None) -> Answer:
        """The same and the gradient of each row's loss."""
        with torch.enable_grad():
            latents = latents.detach().requires_grad_()
            answer = self._forward(latents, steps)
            (gradient,) = torch.autograd.grad(answer.loss.sum(), latents)
        return _detached(answer, gradient=gradient)

    def jacobian(self, latents: Tensor, steps: int | None = None) -> Answer:
        """The same and the Jacobian of each row's residuals."""
        with torch.enable_grad():
            latents = latents.detach().requires_grad_()
            answer = self._forward(latents, steps)
            rows = [
                torch.autograd.grad(column.sum(), latents, retain_graph=True)[0]
                for column in answer.residuals.unbind(dim=1)
            ]
        return _detached(answer, jacobian=torch.stack(rows, dim=1))

    def measure(self, samples: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Measurements, unfiltered loss and filtered loss (None without views) of given samples.

        Args:
            samples: `[batch, *sample_shape]`.
        """
        measurements, residual = self.objective.compare(samples, self.target)
        views = [self.objective.compare(view, self.target)[1] for view in self.regularizer.views(samples)]
        unfiltered, *filtered = (self.weight * part.square().sum(dim=1) for part in (residual, *views))
        return measurements, unfiltered, torch.stack(filtered).sum(dim=0) if filtered else None

    @property
    def _penalises(self) -> bool:
        """Whether there can be a penalty; looking at the numbers would make an accelerator wait."""
        return type(self.regularizer).penalty is not Regularizer.penalty

    def _forward(self, latents: Tensor, steps: int | None) -> Answer:
        samples = self.generator.generate(latents, steps)
        seen = [samples, *self.regularizer.views(samples)]
        compared = [self.objective.compare(each, self.target) for each in seen]
        measurements, parts = compared[0][0], [residual for _, residual in compared]
        losses = [self.weight * part.square().sum(dim=1) for part in parts]
        filtered = torch.stack(losses[1:]).sum(dim=0) if len(losses) > 1 else None
        penalty = self.regularizer.penalty(samples, latents)
        if self._penalises and (penalty.requires_grad or bool(penalty.any())):
            # the clamp keeps the root differentiable where the penalty is zero
            parts.append(penalty.clamp(min=1e-12).sqrt()[:, None])
            losses.append(self.weight * penalty)
        return Answer(
            latents=latents,
            samples=samples,
            measurements=measurements,
            residuals=torch.cat(parts, dim=1),
            loss=torch.stack(losses).sum(dim=0),
            loss_unfiltered=losses[0],
            loss_filtered=filtered,
        )


def _detached(answer: Answer, gradient: Tensor | None = None, jacobian: Tensor | None = None) -> Answer:
    values: dict[str, Any] = {
        name: value.detach() if isinstance(value, Tensor) else value for name, value in vars(answer).items()
    }
    values |= {"gradient": gradient, "jacobian": jacobian}
    return Answer(**values)
