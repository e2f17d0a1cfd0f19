"""The equation c(z) = 0 of a run, as components and their requests see it."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from equidiff.contracts.answers import Answer, GradientAnswer, JacobianAnswer, SampleJacobianAnswer, SplitAnswer
from equidiff.contracts.generator import Generator
from equidiff.contracts.objective import Objective
from equidiff.contracts.regularizer import Regularizer
from equidiff.contracts.stepwise_sampler import StepwiseSampler


class Equation(Protocol):
    """Generator, objective, regularizer and target of a run, and the passes that can be made through them.

    A run gives its own, `equidiff.search.problem.Problem`, to `Solver.check`, `Solver.describe`, `Solver.costliest` and
    `Law.check`, and to the requests that it computes.
    """

    @property
    def generator(self) -> Generator:
        """The generator G."""

    @property
    def objective(self) -> Objective:
        """The objective f."""

    @property
    def regularizer(self) -> Regularizer:
        """The regularizer F."""

    @property
    def target(self) -> Tensor:
        """y*, `[m]`, on the run's device."""

    @property
    def size(self) -> int:
        """The number of residuals, those of filtered views and of a penalty included."""

    @property
    def has_penalty(self) -> bool:
        """True where the regularizer has a penalty."""

    @property
    def tail(self) -> Equation | None:
        """The same equation for intermediate states of the sampler; None where it cannot be split."""

    @property
    def continuous(self) -> Equation:
        """The same equation for samples before they are rounded to 8 bits, which has a slope everywhere."""

    @property
    def objective_share(self) -> float:
        """The cost of the objective alone, as a share of a whole pass."""

    @property
    def tail_share(self) -> float:
        """The cost of a pass from an intermediate state, as a share of a whole one."""

    @property
    def reencode_share(self) -> float:
        """The cost of re-encoding an intermediate state, as a share of a whole pass."""

    def depth(self, steps: int | None) -> float:
        """The cost of a pass with this many sampler steps, as a share of one with the generator's own number."""

    def value(self, latents: Tensor, steps: int | None = None) -> Answer:
        """Loss and residuals."""

    def judged(self, latents: Tensor, samples: Tensor) -> Answer:
        """Loss and residuals of samples that these latents lead to, which were made before."""

    def judged_jacobian(self, latents: Tensor, samples: Tensor) -> SampleJacobianAnswer:
        """The same and the derivative of the residuals with respect to these samples."""

    def gradient(self, latents: Tensor, steps: int | None = None) -> GradientAnswer:
        """The same and the gradient of the loss."""

    def jacobian(self, latents: Tensor, steps: int | None = None) -> JacobianAnswer:
        """The same and the Jacobian of the residuals."""

    def sample_jacobian(self, latents: Tensor, steps: int | None = None) -> SampleJacobianAnswer:
        """The same and the derivative of the residuals with respect to the sample."""

    def split(self, latents: Tensor) -> SplitAnswer:
        """The same and the intermediate states."""

    def reencode(self, latents: Tensor, states: Tensor, moved: Tensor) -> SplitAnswer:
        """The same as `split`, at latents of the same length that lead to moved states, nearly."""

    def trajectory(self, steps: int | None) -> Trajectory | None:
        """The equation along the sampler's way, in this many steps; None where the sampler cannot be guided."""


class Trajectory(Protocol):
    """The equation of a run along the way of its stepwise sampler."""

    @property
    def sampler(self) -> StepwiseSampler:
        """The sampler."""

    @property
    def prediction_share(self) -> float:
        """The cost of predicting the sample from a state and measuring it, as a share of a whole pass."""

    @property
    def advance_share(self) -> float:
        """The cost of a step, as a share of a whole pass."""

    @property
    def encode_share(self) -> float:
        """The cost of encoding a sample, as a share of a whole pass."""

    def prediction(self, step: int) -> Equation:
        """The equation of states before a step, in place of latents: c of the samples predicted from them."""

    def advance(self, states: Tensor, step: int, noise: Tensor | None) -> SplitAnswer:
        """The states after a step; nothing is measured, so all else is NaN."""

    def encode(self, samples: Tensor) -> Answer:
        """Loss and residuals at latents that lead to given samples, nearly."""
