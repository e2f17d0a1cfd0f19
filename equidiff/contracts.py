"""The interfaces. Subclass one, override its abstract methods, return it from a factory: that is a component.

Samples are images `[batch, channels, height, width]`, nominally in [0, 1] and not clamped, or points `[batch, 2]`.
Implementations are final: wrap another component, do not subclass it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from collections.abc import Generator as Coroutine
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from equidiff.errors import UnsupportedError
from equidiff.images.convert import image_to_tensor
from equidiff.midway import Midway
from equidiff.residual import Answer, Latents, Request, ResidualFunction, Step

Samples = Float[Tensor, "batch *sample"]
Measurements = Float[Tensor, "batch m"]
PerSample = Float[Tensor, " batch"]


@dataclass(frozen=True)
class Weights:
    """A weights file that a component loaded, as recorded in `run.json`."""

    name: str
    sha256: str
    revision: str | None = None


@dataclass(frozen=True)
class Finding:
    """One line of `equidiff doctor`: what was looked at, how it is, and whether that is bad."""

    what: str
    state: str
    broken: bool = False


@dataclass(frozen=True)
class BuildContext:
    """What a factory may need to know about the run it builds for.

    Attributes:
        device: a torch device, e.g. "cpu" or "cuda:0".
        dtype: "float32" or "bfloat16" (autocast inside generators).
        generator: the run's generator; absent while generators and solvers are built.
        weights: components append every weights file they load.
        attribution: builds another attribution method from its spec, for those that wrap one.
    """

    device: str = "cpu"
    dtype: str = "float32"
    generator: Generator | None = None
    weights: list[Weights] = field(default_factory=list)
    attribution: Callable[[str], Any] | None = None


class Generator(ABC):
    """A differentiable map from a latent, standard normal by definition, to a sample.

    Attributes:
        latent_shape: shape of one latent, without the batch axis.
        sample_shape: shape of one sample, without the batch axis.
        network: name of the network that objectives use unless told otherwise, e.g. "fashion"; None where there is
            no natural one.
        steps: sampler steps that `generate` makes unless told otherwise; None where there are none.
    """

    latent_shape: tuple[int, ...]
    sample_shape: tuple[int, ...]
    network: str | None = None
    steps: int | None = None

    @abstractmethod
    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Map latents to samples; differentiable and deterministic.

        Args:
            latents: `[batch, *latent_shape]`, float32, drawn from N(0, I) or moved from there.
            steps: number of sampler steps, for generators that have them; their own default when absent.

        Returns:
            `[batch, *sample_shape]`, float32; images nominally in [0, 1], not clamped.
        """

    def invert(self, samples: Samples) -> Latents:
        """The latents that `generate` maps to these samples, as nearly as the generator can tell.

        Raises:
            UnsupportedError: this generator cannot invert.
        """
        raise UnsupportedError(f"{type(self).__name__} cannot invert samples.")

    def midway(self) -> Midway | None:
        """Its sampler in two halves, for solvers that search between them; None where it has none."""
        return None

    def queries(self) -> list[Image] | Samples:
        """The generator's own query samples, which `--query INDEX` picks from: pictures, or points. None by default."""
        return []


class Objective(ABC):
    """A differentiable map from a sample to a measurement; owns its preprocessing (channels, resize, normalise).

    Attributes:
        names: a name for each of the m outputs.
        unit: "activation", "logit", "probability", or another word.
    """

    names: tuple[str, ...]
    unit: str

    @abstractmethod
    def measure(self, samples: Samples) -> Measurements:
        """Measure samples.

        Args:
            samples: `[batch, *sample_shape]`; images nominally in [0, 1]. The run differentiates through this.

        Returns:
            `[batch, m]`, float32, in `unit`.
        """

    def measure_image(self, image: Image) -> Float[Tensor, "1 m"]:
        """Measure a picture from a file, prepared as the network's own evaluation would prepare it.

        Args:
            image: mode "L" or "RGB", any size.
        """
        return self.measure(image_to_tensor(image))

    def examine(self, images: Sequence[Image]) -> list[Finding]:
        """What `equidiff doctor` is to say of this objective; nothing unless the objective says otherwise.

        Args:
            images: pictures of mode "L" or "RGB" that the user gave for the purpose; may be empty.
        """
        return []

    def networks(self) -> list[nn.Module]:
        """The networks that `measure` calls, for attribution methods that look inside; none unless it says so."""
        return []

    def residual(self, measurements: Measurements, target: Float[Tensor, " m"]) -> Float[Tensor, "batch r"]:
        """What is to become zero; `measurements - target` unless the objective says otherwise."""
        return measurements - target

    def compare(self, samples: Samples, target: Float[Tensor, " m"]) -> tuple[Measurements, Float[Tensor, "batch r"]]:
        """Measurements of samples, and the residual that solvers drive to zero and that decides who is a member.

        For objectives that are flat in places, such as units that are off: override it to add to the residual there
        what leads back to a slope. A row of it must be no shorter than that of `residual`, and its signs the same.
        """
        measurements = self.measure(samples)
        return measurements, self.residual(measurements, target)

    def discrepancy(self, measurements: Measurements, target: Float[Tensor, " m"]) -> PerSample:
        """Squared length of the residual, `[batch]`. To change it, override `residual`."""
        return self.residual(measurements, target).square().sum(dim=1)


class Regularizer(ABC):  # noqa: B024  both of its methods have a neutral default
    """Filtered views on which the measurement must hold too, and/or a penalty per sample."""

    def views(self, samples: Samples) -> list[Samples]:
        """Filtered copies of the samples, each of the samples' own shape; none by default."""
        return []

    def penalty(self, samples: Samples, latents: Latents) -> PerSample:
        """An amount >= 0 added to each sample's loss, `[batch]`; zero by default."""
        return samples.new_zeros(len(samples))


class Solver(ABC):
    """A method that drives the residual of one sample to zero from a start latent.

    The run keeps many samples going at once and puts their requests together; a solver never sees the others.

    Attributes:
        budget: evaluations a sample may cost unless the user says otherwise.
        tolerance: loss below which a sample is a member, unless the user says otherwise.
        weight: lambda, the factor on every squared residual.
        coarse: sampler steps that it asks for where it needs no more; None where it never asks for fewer than all.
    """

    budget: int
    tolerance: float = 0.01
    weight: float = 1.0
    coarse: int | None = None

    @abstractmethod
    def solve(
        self, latents: Latents, residual: ResidualFunction, budget: float
    ) -> Coroutine[Request | Step, Any, None]:
        """Yield a `Step` for each iteration until the loss is below `residual.tolerance`, or hope is gone.

        Args:
            latents: a start, one row from N(0, I); a solver may choose another.
            residual: computes losses, gradients and Jacobians, and counts what they cost.
            budget: evaluations that this sample may cost; the run ends the solver when they are spent.
        """

    def choice(self, residuals: int, midway: bool) -> str | None:
        """Which of its methods it takes, as `run.json` says it; None where it has only one.

        Args:
            residuals: how many there are.
            midway: whether the generator's sampler can be stopped on its way.
        """
        return None


@dataclass(frozen=True)
class Moves:
    """What a law did to one sample.

    Attributes:
        made: moves proposed.
        accepted: moves that were made.
    """

    made: int
    accepted: int


class Law(ABC):
    """How members are to be distributed: what follows the search for each of them.

    Attributes:
        exact: it is about `c(z) = 0` itself, so that a penalty, which is none of the equation, or arithmetic too coarse
            to tell when it holds, must be refused.
    """

    exact: bool = False

    @abstractmethod
    def move(self, start: Step, residual: ResidualFunction) -> Coroutine[Request | Step, Any, Moves | None]:
        """Yield a `Step` for each move, and return how many there were; None where the law makes none.

        The answer of the last step is the sample's result. What moves cost is counted, and not held against the budget.

        Args:
            start: the last step of the solver, a member.
            residual: computes losses, gradients and Jacobians; its `draw` is the only source of randomness.
        """


__all__ = [
    "Answer", "BuildContext", "Finding", "Generator", "Latents", "Law", "Measurements", "Midway", "Moves", "Objective",
    "PerSample", "Regularizer", "Request", "ResidualFunction", "Samples", "Solver", "Step", "Weights",
]  # fmt: skip
