"""Answers of the run to solvers and laws, and the steps that these report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

AnyAnswer = TypeVar("AnyAnswer", bound="Answer")


@dataclass(frozen=True)
class Answer:
    """Loss and residuals at some latents of one sample; all tensors detached, rows in the order asked.

    Attributes:
        latents: `[rows, *latent_shape]`, as asked.
        samples: `[rows, *sample_shape]`, as the run writes them.
        measurements: `[rows, m]`, of these.
        residuals: `[rows, r]`: unfiltered, then each view, then the root of the penalty, if the regularizer has one.
        loss: `[rows]`: `weight` times the sum of all squared residuals; in an answer to a solver, on the CPU, so that
            reading it waits for nothing.
        loss_unfiltered: `[rows]`: the share of the sample itself.
        loss_filtered: `[rows]`: the share of its views; None without views.
        outside: `[rows]`: root mean square distance of an image's pixels from [0, 1], before it is clamped.
    """

    latents: Tensor
    samples: Tensor
    measurements: Tensor
    residuals: Tensor
    loss: Tensor
    loss_unfiltered: Tensor
    loss_filtered: Tensor | None
    outside: Tensor

    def rows(self: AnyAnswer, start: int, stop: int) -> AnyAnswer:
        """The rows from `start` up to `stop`, as an answer of their own."""
        # a copy: a part of a tensor would keep all of it in memory
        return self._each(lambda value: value[start:stop].clone())

    def pick(self: AnyAnswer, rows: Sequence[int]) -> AnyAnswer:
        """These rows, in this order, as an answer of their own."""
        host = torch.tensor(rows)
        # one copy of the row numbers for all tensors: the host waits for each
        orders = {device: host.to(device) for device in {self.latents.device, self.loss.device}}
        return self._each(lambda value: value[orders[value.device]])

    def cpu(self: AnyAnswer) -> AnyAnswer:
        """The same answer on the CPU."""
        return self._each(Tensor.cpu)

    def with_loss_on_cpu(self: AnyAnswer) -> AnyAnswer:
        """The same answer, whose losses can be read without waiting for the device again."""
        return replace(self, loss=self.loss.cpu())

    @classmethod
    def join(cls, answers: Sequence[AnyAnswer]) -> AnyAnswer:
        """The rows of several answers of one type, as one."""
        first = answers[0]
        if len(answers) == 1:
            return first
        names = [name for name, value in vars(first).items() if isinstance(value, Tensor)]
        joined = {name: torch.cat([getattr(answer, name) for answer in answers]) for name in names}
        return type(first)(**{**vars(first), **joined})

    def _each(self: AnyAnswer, change: Callable[[Tensor], Tensor]) -> AnyAnswer:
        changed = {name: change(value) if isinstance(value, Tensor) else value for name, value in vars(self).items()}
        return type(self)(**changed)


@dataclass(frozen=True)
class GradientAnswer(Answer):
    """An answer with the gradient of the loss.

    Attributes:
        gradient: `[rows, *latent_shape]`.
    """

    gradient: Tensor


@dataclass(frozen=True)
class JacobianAnswer(Answer):
    """An answer with the Jacobian of the residuals.

    Attributes:
        jacobian: `[rows, r, *latent_shape]`.
    """

    jacobian: Tensor


@dataclass(frozen=True)
class SampleJacobianAnswer(Answer):
    """An answer with the derivative of the residuals with respect to the sample.

    Attributes:
        sample_jacobian: `[rows, r, *sample_shape]`.
    """

    sample_jacobian: Tensor


@dataclass(frozen=True)
class SplitAnswer(Answer):
    """An answer with the intermediate states of the sampler.

    Attributes:
        states: `[rows, parts, *latent_shape]`.
    """

    states: Tensor


@dataclass(frozen=True)
class Step:
    """One iteration of a solver.

    Attributes:
        number: 0 for the start, then counting up.
        answer: one row, at the latent where the solver stands. The answer of the last step is the sample's result.
    """

    number: int
    answer: Answer
