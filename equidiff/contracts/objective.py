"""The contract of objectives: from a sample to a measurement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor, nn

from equidiff.contracts.context import Finding
from equidiff.contracts.predictor import Predictor
from equidiff.types import Measurements, PerSample, Samples


class Objective(ABC):
    """A differentiable map from a sample to a measurement; owns its preprocessing (channels, resize, normalise).

    Attributes:
        names: a name for each of the m outputs.
        unit: "activation", "logit", "probability", or another word.
        resizes: True where `measure` takes images of any size, because it resizes them as its network's own evaluation
            does. A query from a file is then measured in its own size; else it is fitted to the generator's samples.
        sparse: True for a unit that is silent on most samples, as a feature of a sparse autoencoder is. A run that is
            given no query then asks about the prior sample with the highest measurement, not the median one.
    """

    names: tuple[str, ...]
    unit: str
    resizes: bool = False
    sparse: bool = False

    @abstractmethod
    def measure(self, samples: Samples) -> Measurements:
        """Measure samples; a query is measured by this too, so that it is in its own set.

        Args:
            samples: `[batch, *sample_shape]`; images nominally in [0, 1]. The run differentiates through this.

        Returns:
            `[batch, m]`, float32, in `unit`.
        """

    def examine(self, images: Sequence[Image]) -> list[Finding]:
        """Findings for `equidiff doctor`; none by default.

        Args:
            images: of mode "L" or "RGB", which the user gave to try the objective on; may be empty.
        """
        return []

    def networks(self) -> list[nn.Module]:
        """The networks that `measure` calls, for attribution methods that look inside; none by default."""
        return []

    def predictor(self) -> Predictor | None:
        """The classes that its network tells apart, to say what the network calls each member; None by default."""
        return None

    def others(self, samples: Samples) -> tuple[tuple[str, ...], Float[Tensor, "batch units"]] | None:
        """Other units of the layer that it measures, to show what moves while the measurement stands still.

        Args:
            samples: as for `measure`.

        Returns:
            A name for each of the other units, and their values; None by default.
        """
        return None

    def residual(self, measurements: Measurements, target: Float[Tensor, " m"]) -> Float[Tensor, "batch r"]:
        """The difference that solvers drive to zero; `measurements - target` by default."""
        return measurements - target

    def compare(self, samples: Samples, target: Float[Tensor, " m"]) -> tuple[Measurements, Float[Tensor, "batch r"]]:
        """Measurements of samples, and the residual that solvers drive to zero and that decides who is a member.

        Override it where the objective is flat in places, as a unit is behind its ReLU: add a term to the residual
        there that leads back to a slope. A row must be no shorter than that of `residual`, and have the same signs.
        """
        measurements = self.measure(samples)
        return measurements, self.residual(measurements, target)

    def discrepancy(self, measurements: Measurements, target: Float[Tensor, " m"]) -> PerSample:
        """Squared length of the residual, `[batch]`. To change it, override `residual`."""
        return self.residual(measurements, target).square().sum(dim=1)
