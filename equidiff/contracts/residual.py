"""The residual c(z) of one sample, as solvers and laws see it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import replace
from typing import Any, TypeVar

from equidiff.contracts.answers import Answer, GradientAnswer, JacobianAnswer, SampleJacobianAnswer, SplitAnswer, Step
from equidiff.contracts.requests import (
    Advance,
    Candidates,
    Encode,
    Gradient,
    Jacobian,
    Prediction,
    PredictionGradient,
    Reencode,
    Request,
    SampleJacobian,
    SamplerRequest,
    Split,
    StoredJacobian,
    Value,
)
from equidiff.contracts.stepwise_sampler import StepwiseSampler
from equidiff.errors import UnsupportedError
from equidiff.types import Latents, Samples, States

Returned = TypeVar("Returned")
# yields requests, which the run answers, and steps, which it records
Coroutine = Generator[Request | Step, Any, Returned]


class ResidualFunction(ABC):
    """c(z) of one sample.

    Each call is made with `yield from`, so that the run can answer the requests of many samples in one batch:

        answer = yield from residual.gradient(latents)

    To wrap one, override `_ask`, through which every request goes.

    Attributes:
        tolerance: the sample is a member when its loss is below this.
        size: number of residuals, those of filtered views and of a penalty included.
        splittable: whether `split` and `reencode` can be asked for.
        rounded: whether samples are rounded to 8 bits before they are measured.
    """

    tolerance: float
    size: int
    splittable: bool = False
    rounded: bool = False

    def value(self, latents: Latents, steps: int | None = None) -> Coroutine[Answer]:
        """Loss and residuals at each row: one forward pass a row.

        Args:
            latents: `[rows, *latent_shape]`.
            steps: sampler steps, for a coarse look that costs its share of the generator's own number of steps. Never
                yield a `Step` of such an answer: a sample is judged by its last step.
        """
        return (yield from self._ask(Value(latents, steps)))

    def gradient(self, latents: Latents, steps: int | None = None) -> Coroutine[GradientAnswer]:
        """The same and the gradient of the loss: one forward and one backward pass a row."""
        return (yield from self._ask(Gradient(latents, steps)))

    def jacobian(self, latents: Latents, steps: int | None = None) -> Coroutine[JacobianAnswer]:
        """The same and the Jacobian of the residuals: one forward and r backward passes a row."""
        return (yield from self._ask(Jacobian(latents, steps)))

    def sample_jacobian(self, latents: Latents, steps: int | None = None) -> Coroutine[SampleJacobianAnswer]:
        """The same and the derivative with respect to the sample: one forward pass, r backward through f alone."""
        return (yield from self._ask(SampleJacobian(latents, steps)))

    def stored_jacobian(self, here: Answer) -> Coroutine[SampleJacobianAnswer]:
        """The same of samples that an answer has already: a forward and r backward passes through f alone."""
        return (yield from self._ask(StoredJacobian(here.latents, here.samples, here.outside)))

    def candidates(self, count: int, steps: int | None = None) -> Coroutine[Answer]:
        """This sample's share of a pool of prior samples, `count` of them, the best first.

        Blocks of sixteen samples (0 to 15, 16 to 31, ...) share pools of `16 * count` prior samples. A pool is sorted
        by loss and shared out back and forth: one sample gets ranks 0, 31, 32, ..., the next 1, 30, 33, .... Every call
        draws a new pool, in which another sample comes first. One forward pass a prior sample, shared by the block.

        In a run with a bank the first call may be answered by a single sample of the bank, which costs no pass through
        the generator.
        """
        return (yield from self._ask(Candidates(count, steps)))

    def split(self, latents: Latents) -> Coroutine[SplitAnswer]:
        """The same as `value`, with the intermediate states of the sampler."""
        return (yield from self._ask(Split(latents)))

    def reencode(self, here: SplitAnswer, moved: States) -> Coroutine[SplitAnswer]:
        """The same as `split`, at a latent of the same length that leads to a moved state, nearly.

        One forward pass, and the cost of the way back.

        Args:
            here: one row, from `split` or from here.
            moved: `[1, parts, *latent_shape]`.
        """
        return (yield from self._ask(Reencode(here.latents, here.states, moved)))

    def stepwise_sampler(self, steps: int | None) -> StepwiseSampler:
        """The sampler that `prediction`, `prediction_gradient` and `advance` make steps of.

        Raises:
            UnsupportedError: it cannot be guided.
        """
        raise UnsupportedError("This sampler cannot be guided step by step.", given=type(self).__name__)

    def prediction(self, states: States, step: int, steps: int | None) -> Coroutine[Answer]:
        """Loss and residuals of the samples predicted from states before a step: an evaluation of the network a row.

        Args:
            states: `[rows, parts, *latent_shape]`, of the stepwise sampler; they stand in the answer as its latents, so
                never yield a `Step` of it.
            step: 0 for the first.
            steps: of the sampler; its own number when None.
        """
        return (yield from self._ask(Prediction(states, step, steps)))

    def prediction_gradient(self, states: States, step: int, steps: int | None) -> Coroutine[GradientAnswer]:
        """The same and the gradient of the loss with respect to the states."""
        return (yield from self._ask(PredictionGradient(states, step, steps)))

    def advance(self, states: States, step: int, steps: int | None, noise: Latents | None) -> Coroutine[SplitAnswer]:
        """The states after a step, and nothing else: an evaluation of the network a row."""
        return (yield from self._ask(Advance(states, step, steps, noise)))

    def encode(self, samples: Samples, steps: int | None) -> Coroutine[Answer]:
        """The same as `value`, at latents that lead to given samples, nearly."""
        return (yield from self._ask(Encode(samples, steps)))

    def _ask(self, request: Request) -> Coroutine[Any]:
        """Put a request to the run and return its answer."""
        return (yield request)

    @abstractmethod
    def draw(self, count: int) -> Latents:
        """Fresh latents from the prior, from this sample's own random stream, `[count, *latent_shape]`."""


class ContinuousResidual(ResidualFunction):
    """c of samples before they are rounded to 8 bits, for laws, which need it to be smooth.

    Args:
        residual: c(z).
    """

    def __init__(self, residual: ResidualFunction) -> None:
        self.tolerance, self.size = residual.tolerance, residual.size
        self._residual = residual

    def draw(self, count: int) -> Latents:
        return self._residual.draw(count)

    def _ask(self, request: Request) -> Coroutine[Any]:
        if not isinstance(request, SamplerRequest):
            raise UnsupportedError("This cannot be asked of samples before rounding.", given=type(request).__name__)
        return (yield from self._residual._ask(replace(request, continuous=True)))


class TailResidual(ResidualFunction):
    """c as a function of the intermediate state, searched like c(z) with states in place of latents.

    Only the first part of a state moves; the sampler's memory keeps its value, and has no slope.

    Args:
        residual: c(z).
        tolerance: below this the state is good enough.
    """

    def __init__(self, residual: ResidualFunction, tolerance: float) -> None:
        self.tolerance, self.size = tolerance, residual.size
        self._residual = residual

    def _ask(self, request: Request) -> Coroutine[Any]:
        if not isinstance(request, SamplerRequest):
            raise UnsupportedError("Intermediate states cannot be asked for this.", given=type(request).__name__)
        answer = yield from self._residual._ask(replace(request, tail=True, steps=None))
        if isinstance(answer, GradientAnswer):
            answer.gradient[:, 1:] = 0
        elif isinstance(answer, JacobianAnswer):
            answer.jacobian[:, :, 1:] = 0
        return answer

    def draw(self, count: int) -> Latents:
        """Intermediate states have no prior.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("Intermediate states have no prior to draw from.")
