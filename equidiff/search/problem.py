"""The equation to solve: c(z) = 0, with generator, objective, regularizer and target in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from equidiff.contracts import (
    Answer,
    Generator,
    GradientAnswer,
    JacobianAnswer,
    Objective,
    Regularizer,
    SampleJacobianAnswer,
    SplitAnswer,
    SplitSampler,
)
from equidiff.contracts.sample_kind import SampleKind
from equidiff.errors import UnsupportedError
from equidiff.kinds.registry import kind_of
from equidiff.numerics.flops import count_flops
from equidiff.search.trajectory import ProblemTrajectory, Tail

AnyAnswer = TypeVar("AnyAnswer", bound=Answer)
Part = TypeVar("Part")


@dataclass(frozen=True)
class Problem:
    """One target, and everything needed to say how far a latent is from it.

    Attributes:
        generator: G.
        objective: f.
        regularizer: F.
        target: y*, `[m]`, on the run's device.
        weight: lambda, the factor on every squared residual.
        saved: measure a sample as its file holds it, an image clamped and rounded to 8 bits, so that what is judged is
            what is written.
        view_targets: the measurement that each view must have, `[m]` each: that of the query's own view, so that the
            query is in its own set. y* where the target was given as a number, and no query.
    """

    generator: Generator
    objective: Objective
    regularizer: Regularizer
    target: Tensor
    weight: float = 1.0
    saved: bool = False
    view_targets: tuple[Tensor, ...] = ()

    @cached_property
    def kind(self) -> SampleKind:
        """The kind of the samples."""
        return kind_of(self.generator)

    def value(self, latents: Tensor, steps: int | None = None) -> Answer:
        """Loss and residuals, without a graph."""
        with torch.no_grad():
            return _detached(self._forward(latents, steps), Answer)

    def judged(self, latents: Tensor, samples: Tensor) -> Answer:
        """The same of samples that were made before, and need not be made again."""
        with torch.no_grad():
            return _detached(self._compare(latents, samples), Answer)

    def gradient(self, latents: Tensor, steps: int | None = None) -> GradientAnswer:
        """The same and the gradient of each row's loss."""
        with torch.enable_grad():
            latents = latents.detach().requires_grad_()
            answer = self._forward(latents, steps)
            (gradient,) = torch.autograd.grad(answer.loss.sum(), latents)
        return _detached(answer, GradientAnswer, gradient=gradient)

    def jacobian(self, latents: Tensor, steps: int | None = None) -> JacobianAnswer:
        """The same and the Jacobian of each row's residuals."""
        with torch.enable_grad():
            latents = latents.detach().requires_grad_()
            answer = self._forward(latents, steps)
            jacobian = _columns(answer.residuals, latents)
        return _detached(answer, JacobianAnswer, jacobian=jacobian)

    def sample_jacobian(self, latents: Tensor, steps: int | None = None) -> SampleJacobianAnswer:
        """The same as `value`, and the derivative of each row's residuals with respect to its sample."""
        with torch.no_grad():
            samples = self.generator.generate(latents, steps)
        return self.judged_jacobian(latents, samples)

    def judged_jacobian(self, latents: Tensor, samples: Tensor) -> SampleJacobianAnswer:
        """The same of samples that were made before."""
        with torch.enable_grad():
            leaf = samples.detach().requires_grad_()
            answer = self._compare(latents, leaf)
            jacobian = _columns(answer.residuals, leaf)
        return _detached(answer, SampleJacobianAnswer, sample_jacobian=jacobian)

    def split(self, latents: Tensor) -> SplitAnswer:
        """The same as `value`, with the intermediate states.

        Raises:
            UnsupportedError: the sampler cannot be split.
        """
        sampler = self._required(self.split_sampler)
        with torch.no_grad():
            states = sampler.begin(latents)
        answer = self._required(self.tail).value(states)
        return SplitAnswer(**{**vars(answer), "latents": latents}, states=states)

    def reencode(self, latents: Tensor, states: Tensor, moved: Tensor) -> SplitAnswer:
        """The same as `split`, at latents of the same length that lead to moved states, nearly.

        Args:
            latents: `[rows, *latent_shape]`.
            states: to which they lead, `[rows, parts, *latent_shape]`.
            moved: to which the new ones should lead, of the same shape.

        Raises:
            UnsupportedError: the sampler cannot be split.
        """
        sampler = self._required(self.split_sampler)
        with torch.no_grad():
            found = sampler.reencode(latents, states, moved)
        # a standard normal has hardly any other length: where it was typical, it stays so
        lengths = [each.flatten(1).norm(dim=1).clamp(min=1e-12) for each in (latents, found)]
        return self.split(found * (lengths[0] / lengths[1]).reshape(-1, *[1] * (latents.ndim - 1)))

    @cached_property
    def split_sampler(self) -> SplitSampler | None:
        """The generator's sampler in two parts; None where it cannot be split, or a penalty is of latents."""
        return None if self._penalises_latents else self.generator.split_sampler()

    @cached_property
    def tail(self) -> Problem | None:
        """The same equation for intermediate states; None where the sampler cannot be split."""
        sampler = self.split_sampler
        return None if sampler is None else replace(self, generator=Tail(sampler, self.generator))

    def trajectory(self, steps: int | None) -> ProblemTrajectory | None:
        """The same equation along the sampler's way; None where it cannot be guided, or a penalty is of latents."""
        if steps not in self._trajectories:
            sampler = None if self._penalises_latents else self.generator.stepwise_sampler(steps)
            self._trajectories[steps] = None if sampler is None else ProblemTrajectory(self, sampler, self._share)
        return self._trajectories[steps]

    @cached_property
    def _trajectories(self) -> dict[int | None, ProblemTrajectory | None]:
        return {}

    @cached_property
    def continuous(self) -> Problem:
        """The same equation for samples before they are rounded, which has a slope everywhere."""
        return replace(self, saved=False) if self.saved else self

    @cached_property
    def size(self) -> int:
        """The number of residuals, found by a look at a grey sample."""
        with torch.no_grad():
            grey = torch.full((1, *self.generator.sample_shape), 0.5, device=self.target.device)
            return self._compare(self._origin, grey).residuals.shape[1]

    def depth(self, steps: int | None) -> float:
        """The cost of a pass with this many sampler steps, as a share of one with the generator's own number."""
        usual = self.generator.steps
        return 1.0 if steps is None or usual is None else steps / usual

    @cached_property
    def objective_share(self) -> float:
        """The cost of the objective alone, as a share of a whole pass, in matrix operations."""
        with torch.no_grad():
            samples = self.generator.generate(self._origin)
        return self._share(lambda: self.objective.compare(samples, self.target))

    @cached_property
    def tail_share(self) -> float:
        """The cost of a pass from an intermediate state, likewise."""
        tail, states = self._required(self.tail), self.split(self._origin).states
        return self._share(lambda: tail.value(states))

    @cached_property
    def reencode_share(self) -> float:
        """The cost of finding the latent that leads to a state, likewise."""
        sampler, states = self._required(self.split_sampler), self.split(self._origin).states
        return self._share(lambda: sampler.reencode(self._origin, states, states))

    def _required(self, part: Part | None) -> Part:
        if part is None:
            raise UnsupportedError("This sampler cannot be split.", given=type(self.generator).__name__)
        return part

    def _share(self, work: Callable[[], object]) -> float:
        return count_flops(work) / max(self._flops, 1)

    @cached_property
    def _flops(self) -> int:
        return count_flops(lambda: self._forward(self._origin, None))

    @cached_property
    def _origin(self) -> Tensor:
        """One latent, where costs are counted."""
        return torch.zeros(1, *self.generator.latent_shape, device=self.target.device)

    def measure(self, samples: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Measurements, unfiltered loss and filtered loss (None without views) of given samples.

        Args:
            samples: `[batch, *sample_shape]`.
        """
        samples = self.written(samples)
        (measurements, residual), *views = self._compare_views(samples)
        parts = (residual, *(each for _, each in views))
        unfiltered, *filtered = (self.weight * part.square().sum(dim=1) for part in parts)
        return measurements, unfiltered, torch.stack(filtered).sum(dim=0) if filtered else None

    def judge(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Measurements `[batch, m]` and loss `[batch]` of given samples: below the tolerance they are members.

        A penalty counts where samples alone tell it; one of their latents, which are not known here, does not.

        Args:
            samples: `[batch, *sample_shape]`.
        """
        samples = self.written(samples)
        measurements, unfiltered, filtered = self.measure(samples)
        loss = unfiltered if filtered is None else unfiltered + filtered
        if self.has_penalty:
            unknown = samples.new_full((len(samples), *self.generator.latent_shape), torch.nan)
            loss = loss + self.weight * self.regularizer.penalty(samples, unknown).nan_to_num(nan=0.0)
        return measurements, loss

    def written(self, samples: Tensor) -> Tensor:
        """Samples as the run writes them: rounded if `saved` says so."""
        return self.kind.saved(samples) if self.saved else samples

    @property
    def _penalises_latents(self) -> bool:
        """True where there is a penalty that the sample alone does not determine."""
        device = self.target.device
        unknown = torch.full((1, *self.generator.latent_shape), torch.nan, device=device)
        grey = torch.full((1, *self.generator.sample_shape), 0.5, device=device)
        with torch.no_grad():
            return bool(self.regularizer.penalty(grey, unknown).isnan().any())

    @property
    def has_penalty(self) -> bool:
        """True where there is a penalty: the regularizer's class decides, not its numbers."""
        return type(self.regularizer).penalty is not Regularizer.penalty

    def _compare_views(self, samples: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Measurements and residuals of samples, and then of each of their views."""
        views = self.regularizer.views(samples)
        targets = self.view_targets or (self.target,) * len(views)
        pairs = zip((samples, *views), (self.target, *targets), strict=True)
        return [self.objective.compare(seen, target) for seen, target in pairs]

    def _forward(self, latents: Tensor, steps: int | None) -> Answer:
        return self._compare(latents, self.generator.generate(latents, steps))

    def _compare(self, latents: Tensor, samples: Tensor) -> Answer:
        outside = self.kind.excess(samples).detach()
        samples = self.written(samples)
        compared = self._compare_views(samples)
        measurements, parts = compared[0][0], [residual for _, residual in compared]
        losses = [self.weight * part.square().sum(dim=1) for part in parts]
        filtered = torch.stack(losses[1:]).sum(dim=0) if len(losses) > 1 else None
        penalty = self.regularizer.penalty(samples, latents)
        if self.has_penalty:  # zero or not: how many residuals there are may not depend on where a sample is
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
            outside=outside.flatten(1).square().mean(dim=1).sqrt(),
        )


def _columns(residuals: Tensor, by: Tensor) -> Tensor:
    """The derivative of each residual, `[rows, r, ...]`."""
    columns = [torch.autograd.grad(column.sum(), by, retain_graph=True)[0] for column in residuals.unbind(dim=1)]
    return torch.stack(columns, dim=1)


def _detached(answer: Answer, kind: type[AnyAnswer], **found: Tensor) -> AnyAnswer:
    """The answer without its graph, and with what else was found."""
    values: dict[str, Any] = {
        name: value.detach() if isinstance(value, Tensor) else value for name, value in vars(answer).items()
    }
    return kind(**values, **found)
