"""Requests: all that a solver or a law may ask of the run.

A request says which others may share a pass with it (`key`), how it is computed (`run`) and what it costs (`cost`). The
run groups the requests of many samples, computes each group in batches, and hands the rows back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor

from equidiff.contracts.answers import Answer, GradientAnswer, JacobianAnswer, SampleJacobianAnswer, SplitAnswer
from equidiff.contracts.equation import Equation, Trajectory
from equidiff.errors import UnsupportedError

AnyPass = TypeVar("AnyPass", bound="PassRequest")


class Request:
    """Something that a solver or a law asks of the run."""


@dataclass(frozen=True)
class Candidates(Request):
    """A sample's share of the prior samples that it starts from; see `ResidualFunction.candidates`.

    Attributes:
        count: how many.
        steps: of the sampler; the generator's own number when None.
    """

    count: int
    steps: int | None = None


@dataclass(frozen=True)
class PassRequest(Request, ABC):
    """Passes through the generator and the objective, one a row.

    Attributes:
        latents: `[rows, *latent_shape]`.
    """

    latents: Tensor

    @property
    def key(self) -> Hashable:
        """Requests with equal keys may share a pass: they are of one type, and agree in everything but their rows."""
        settings = (getattr(self, field.name) for field in fields(self))
        return (type(self), *(value for value in settings if not isinstance(value, Tensor)))

    def take(self: AnyPass, rows: slice | list[int]) -> AnyPass:
        """The same request for some of its rows."""
        return replace(self, **{name: value[rows] for name, value in self._tensors().items()})

    @staticmethod
    def join(requests: Sequence[AnyPass]) -> AnyPass:
        """One request for the rows of several that have the same key."""
        first = requests[0]
        joined = {name: torch.cat([getattr(each, name) for each in requests]) for name in first._tensors()}
        return replace(first, **joined)

    @abstractmethod
    def run(self, equation: Equation) -> Answer:
        """Compute the answer, in one pass."""

    @abstractmethod
    def cost(self, equation: Equation) -> tuple[float, float]:
        """Forward and backward passes of all its rows; shares of a pass count as such."""

    def _tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}


@dataclass(frozen=True)
class SamplerRequest(PassRequest):
    """A pass through the sampler, or through its tail.

    Attributes:
        latents: `[rows, *latent_shape]`; for the tail, intermediate states `[rows, parts, *latent_shape]`.
        steps: of the sampler; the generator's own number when None.
        tail: begin at intermediate states.
        continuous: measure samples before they are rounded to 8 bits.
    """

    steps: int | None = None
    tail: bool = False
    continuous: bool = False

    def cost(self, equation: Equation) -> tuple[float, float]:
        forwards = (equation.tail_share if self.tail else equation.depth(self.steps)) * len(self.latents)
        return forwards, forwards * self._backwards(equation)

    def _backwards(self, equation: Equation) -> int:
        """Backward passes for each forward one."""
        return 0

    def _equation(self, equation: Equation) -> Equation:
        if self.continuous:
            equation = equation.continuous
        if not self.tail:
            return equation
        if equation.tail is None:
            raise UnsupportedError("This sampler cannot be split.", given=type(equation.generator).__name__)
        return equation.tail


@dataclass(frozen=True)
class Value(SamplerRequest):
    """Loss and residuals: a forward pass a row."""

    def run(self, equation: Equation) -> Answer:
        return self._equation(equation).value(self.latents, self.steps)


@dataclass(frozen=True)
class Gradient(SamplerRequest):
    """The same and the gradient of the loss: a forward and a backward pass a row."""

    def run(self, equation: Equation) -> GradientAnswer:
        return self._equation(equation).gradient(self.latents, self.steps)

    def _backwards(self, equation: Equation) -> int:
        return 1


@dataclass(frozen=True)
class Jacobian(SamplerRequest):
    """The same and the Jacobian of the residuals: a forward and r backward passes a row."""

    def run(self, equation: Equation) -> JacobianAnswer:
        return self._equation(equation).jacobian(self.latents, self.steps)

    def _backwards(self, equation: Equation) -> int:
        return equation.size


@dataclass(frozen=True)
class SampleJacobian(SamplerRequest):
    """The same and the derivative with respect to the sample: a forward pass a row, r backward through f alone."""

    def run(self, equation: Equation) -> SampleJacobianAnswer:
        return self._equation(equation).sample_jacobian(self.latents, self.steps)

    def cost(self, equation: Equation) -> tuple[float, float]:
        forwards, _ = super().cost(equation)
        return forwards, len(self.latents) * equation.size * equation.objective_share


@dataclass(frozen=True)
class Split(PassRequest):
    """Loss and residuals, and the intermediate states: a forward pass a row."""

    def run(self, equation: Equation) -> SplitAnswer:
        return equation.split(self.latents)

    def cost(self, equation: Equation) -> tuple[float, float]:
        return len(self.latents), 0


@dataclass(frozen=True)
class Reencode(PassRequest):
    """The same at latents that lead to moved states: a forward pass a row, and what the way back costs.

    Attributes:
        latents: `[rows, *latent_shape]`.
        states: where they lead, `[rows, parts, *latent_shape]`.
        moved: where they should lead, of the same shape.
    """

    states: Tensor
    moved: Tensor

    def run(self, equation: Equation) -> SplitAnswer:
        return equation.reencode(self.latents, self.states, self.moved)

    def cost(self, equation: Equation) -> tuple[float, float]:
        rows = len(self.latents)
        return rows + rows * equation.reencode_share, 0


@dataclass(frozen=True)
class TrajectoryRequest(PassRequest):
    """A pass along the way of the stepwise sampler.

    Attributes:
        latents: states before the step, `[rows, parts, *latent_shape]`.
        step: 0 for the first.
        steps: of the sampler; its own number when None.
    """

    step: int
    steps: int | None

    def _trajectory(self, equation: Equation) -> Trajectory:
        return _guided(equation, self.steps)


@dataclass(frozen=True)
class Prediction(TrajectoryRequest):
    """Loss and residuals of the predicted samples: an evaluation of the network and of the objective a row."""

    def run(self, equation: Equation) -> Answer:
        return self._trajectory(equation).prediction(self.step).value(self.latents)

    def cost(self, equation: Equation) -> tuple[float, float]:
        return len(self.latents) * self._trajectory(equation).prediction_share, 0


@dataclass(frozen=True)
class PredictionGradient(TrajectoryRequest):
    """The same and the gradient of the loss: the same forward and backward."""

    def run(self, equation: Equation) -> GradientAnswer:
        return self._trajectory(equation).prediction(self.step).gradient(self.latents)

    def cost(self, equation: Equation) -> tuple[float, float]:
        share = len(self.latents) * self._trajectory(equation).prediction_share
        return share, share


@dataclass(frozen=True)
class Advance(TrajectoryRequest):
    """A step of the sampler: an evaluation of the network a row.

    Attributes:
        noise: `[rows, *latent_shape]`; None where the sampler adds none.
    """

    noise: Tensor | None

    def run(self, equation: Equation) -> SplitAnswer:
        return self._trajectory(equation).advance(self.latents, self.step, self.noise)

    def cost(self, equation: Equation) -> tuple[float, float]:
        return len(self.latents) * self._trajectory(equation).advance_share, 0


@dataclass(frozen=True)
class Encode(PassRequest):
    """Loss and residuals at latents that lead to samples: a forward pass a row, and what the way back costs.

    Attributes:
        latents: the samples, `[rows, *sample_shape]`.
        steps: of the stepwise sampler; its own number when None.
    """

    steps: int | None

    def run(self, equation: Equation) -> Answer:
        return _guided(equation, self.steps).encode(self.latents)

    def cost(self, equation: Equation) -> tuple[float, float]:
        return len(self.latents) * (1 + _guided(equation, self.steps).encode_share), 0


def _guided(equation: Equation, steps: int | None) -> Trajectory:
    trajectory = equation.trajectory(steps)
    if trajectory is None:
        raise UnsupportedError("This sampler cannot be guided step by step.", given=type(equation.generator).__name__)
    return trajectory


@dataclass(frozen=True)
class Stored(PassRequest):
    """Loss and residuals of samples that were made before: the objective alone is computed.

    Attributes:
        latents: `[rows, *latent_shape]`.
        samples: that they lead to, `[rows, *sample_shape]`.
        outside: `[rows]`: root mean square distance of an image's pixels from [0, 1], before it was clamped.
    """

    samples: Tensor
    outside: Tensor

    def run(self, equation: Equation) -> Answer:
        return replace(equation.judged(self.latents, self.samples), outside=self.outside)

    def cost(self, equation: Equation) -> tuple[float, float]:
        return len(self.latents) * equation.objective_share, 0


@dataclass(frozen=True)
class StoredJacobian(Stored):
    """The same and the derivative with respect to the sample: r backward passes through the objective alone."""

    def run(self, equation: Equation) -> SampleJacobianAnswer:
        return replace(equation.judged_jacobian(self.latents, self.samples), outside=self.outside)

    def cost(self, equation: Equation) -> tuple[float, float]:
        forwards, _ = super().cost(equation)
        return forwards, forwards * equation.size
