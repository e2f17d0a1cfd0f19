"""The residual c(z) of one sample, as solvers and laws see it: what they may ask of the run, and its answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from collections.abc import Generator as Coroutine
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from equidiff.types import Latents

Weigh = Callable[[Tensor, Tensor], Tensor]  # residuals [r] and sensitivity [r, *sample] to weights [r]


@dataclass(frozen=True)
class Answer:
    """What the run knows at some latents of one sample; all tensors detached, rows in the order asked.

    Attributes:
        latents: `[rows, *latent_shape]`, as asked.
        samples: `[rows, *sample_shape]`.
        measurements: `[rows, m]`.
        residuals: `[rows, r]`: unfiltered, then each view, then the root of the penalty, if the regularizer has one.
        loss: `[rows]`: `weight` times the sum of all squared residuals.
        loss_unfiltered: `[rows]`: the share of the sample itself.
        loss_filtered: `[rows]`: the share of its views; None without views.
        gradient: `[rows, *latent_shape]`: of the loss, where it was asked for.
        jacobian: `[rows, r, *latent_shape]`: of the residuals, where it was asked for.
        sensitivity: `[rows, r, *sample_shape]`: the derivative of the residuals by the sample, where it was asked for.
        weights: `[rows, r]`: what was chosen by `weigh`, where it was asked for.
        states: `[rows, parts, *latent_shape]`: the sampler midway, where it was asked for.
    """

    latents: Tensor
    samples: Tensor
    measurements: Tensor
    residuals: Tensor
    loss: Tensor
    loss_unfiltered: Tensor
    loss_filtered: Tensor | None
    gradient: Tensor | None = None
    jacobian: Tensor | None = None
    sensitivity: Tensor | None = None
    weights: Tensor | None = None
    states: Tensor | None = None

    def rows(self, start: int, stop: int) -> Answer:
        """The rows from `start` up to `stop`, as an answer of their own."""
        # a copy: a part of a tensor would keep all of it in memory
        return self._each(lambda value: value[start:stop].clone())

    def pick(self, rows: Sequence[int]) -> Answer:
        """These rows, in this order, as an answer of their own."""
        return self._each(lambda value: value[list(rows)])

    def _each(self, change: Callable[[Tensor], Tensor]) -> Answer:
        return Answer(
            **{name: change(value) if isinstance(value, Tensor) else value for name, value in vars(self).items()}
        )


@dataclass(frozen=True)
class Step:
    """One iteration of a solver.

    Attributes:
        number: 0 for the start, then counting up.
        answer: one row: where the solver stands. The answer of the last step is the sample's result.
    """

    number: int
    answer: Answer


@dataclass(frozen=True)
class Request:
    """What a solver asks the run to compute; see `ResidualFunction`.

    Attributes:
        kind: the method that was called.
        latents: rows; with `midway`, states.
        count: of plain samples.
        steps: of the sampler.
        weigh: chooses weights.
        midway: compute from the sampler's middle on.
        moved: from which state to which, each one row.
    """

    kind: str
    latents: Tensor
    count: int = 0
    steps: int | None = None
    weigh: Weigh | None = None
    midway: bool = False
    moved: tuple[Tensor, Tensor] | None = None


class ResidualFunction(ABC):
    """c(z) of one sample, as a solver sees it.

    Each call is made with `yield from`, so that the run can answer the requests of many samples in one batch:

        answer = yield from residual.gradient(latents)

    Attributes:
        tolerance: the sample is a member when its loss is below this.
        size: number of residuals, those of filtered views and of a penalty included.
        midway: whether the sampler can be stopped on its way, and `begin` and `retrace` be asked for.
    """

    tolerance: float
    size: int
    midway: bool = False

    def value(self, latents: Latents, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        """Loss and residuals at each row: one forward pass a row.

        Args:
            latents: `[rows, *latent_shape]`.
            steps: sampler steps, for a coarse look that costs its share of the generator's own number of steps. Never
                yield a `Step` of such an answer: a sample is judged by its last step.
        """
        return (yield Request("value", latents, steps=steps))

    def gradient(self, latents: Latents, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        """The same and the gradient of the loss: one forward and one backward pass a row."""
        return (yield Request("gradient", latents, steps=steps))

    def jacobian(self, latents: Latents, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        """The same and the Jacobian of the residuals: one forward and r backward passes a row."""
        return (yield Request("jacobian", latents, steps=steps))

    def sensitivity(self, latents: Latents, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        """Loss, residuals, and their derivative by the sample: one forward pass a row, r backward through f alone."""
        return (yield Request("sensitivity", latents, steps=steps))

    def pull(self, latents: Latents, weigh: Weigh, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        """The same and, as `gradient`, the latent-space gradient of a weighted sum of the residuals.

        The weights may depend on what was just found: one forward pass a row, one backward, and r through f alone.

        Args:
            latents: `[rows, *latent_shape]`.
            weigh: maps residuals `[r]` and sensitivity `[r, *sample_shape]` of a row to its weights `[r]`.
            steps: sampler steps, as in `value`.
        """
        return (yield Request("pull", latents, steps=steps, weigh=weigh))

    def pool(self, count: int, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        """This sample's hand of plain samples, `count` of them, the best first.

        Sixteen neighbours (samples 0 to 15, 16 to 31, ...) share `16 * count` plain samples, which are sorted by loss
        and dealt out back and forth: the first gets ranks 0, 31, 32, ..., the second 1, 30, 33, .... Every call deals a
        new deck and starts with another neighbour. One forward pass a plain sample, shared by the neighbours.
        """
        return (yield Request("pool", self.draw(0), count, steps))

    def begin(self, latents: Latents) -> Coroutine[Request | Step, Any, Answer]:
        """The same as `value`, with the states in which the sampler was midway."""
        return (yield Request("begin", latents))

    def retrace(self, here: Answer, moved: Tensor) -> Coroutine[Request | Step, Any, Answer]:
        """As `begin`, at a latent of the same length that leads to a moved state, nearly.

        One forward pass, and what the way back costs.

        Args:
            here: one row, with its state.
            moved: `[1, parts, *latent_shape]`.
        """
        assert here.states is not None  # it is from `begin`, or from here
        return (yield Request("retrace", here.latents, moved=(here.states, moved)))

    @abstractmethod
    def draw(self, count: int) -> Latents:
        """Fresh latents from the prior, from this sample's own random stream, `[count, *latent_shape]`."""


class FromMidway(ResidualFunction):
    """c of what the sampler makes of a state: searched like c(z), with states in place of latents.

    Args:
        residual: c(z).
        tolerance: below this the state is good enough.
    """

    def __init__(self, residual: ResidualFunction, tolerance: float) -> None:
        self.tolerance, self.size = tolerance, residual.size

    def value(self, latents: Latents, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        """As `ResidualFunction.value`, of states: what is left of a forward pass."""
        return (yield Request("value", latents, midway=True))

    def gradient(self, latents: Latents, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        """As `ResidualFunction.gradient`, of states; what the sampler remembers stays as it was."""
        answer = yield Request("gradient", latents, midway=True)
        answer.gradient[:, 1:] = 0
        return answer

    def jacobian(self, latents: Latents, steps: int | None = None) -> Coroutine[Request | Step, Any, Answer]:
        """As `ResidualFunction.jacobian`, of states; what the sampler remembers stays as it was."""
        answer = yield Request("jacobian", latents, midway=True)
        answer.jacobian[:, :, 1:] = 0
        return answer

    def draw(self, count: int) -> Latents:
        """There is no prior of states."""
        raise NotImplementedError("states are not drawn")
