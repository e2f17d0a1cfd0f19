"""The contract of attribution methods, and the scalar that they explain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from equidiff.contracts.objective import Objective
from equidiff.types import Attributions, Latents, Measurements, PerSample, Samples


@final
class ScalarTarget(nn.Module):
    """The measurement that a run holds fixed, as one number for each sample.

    Of a single output, the number is that output. Of several that are positions of one unit, it is their mean. Of any
    other several, it is the output with the largest target, such as the logit of the class that the query is taken for.
    It is never the residual: its squared length is smallest at the query and at every member, so that there it has no
    gradient, and no method has anything to say.

    Args:
        objective: measures samples; its preprocessing is part of the function to explain.
        target: y*, `[m]`.
        batch: rows that fit into one pass; methods that make many copies of a sample keep to it.

    Attributes:
        networks: the networks that the objective asks, for methods that look inside; may be empty.
        name: what the number is, e.g. "pre-logits.17".
        unit: its unit.
        target: what the run kept it at.
        batch: as given.
    """

    def __init__(self, objective: Objective, target: Float[Tensor, " m"], batch: int = 16) -> None:
        super().__init__()
        self._measure = objective.measure
        self.networks = nn.ModuleList({id(network): network for network in objective.networks()}.values())
        self.batch, self.unit = batch, objective.unit
        units = {name.partition("[")[0] for name in objective.names}
        self._chosen: int | None = None
        if len(objective.names) > 1 and len(units) == 1:
            self.name = f"mean of {units.pop()} over {len(objective.names)} positions"
        else:
            self._chosen = int(target.argmax())
            self.name = objective.names[self._chosen]
        self.target = float(self._number(target[None]))

    def forward(self, samples: Samples) -> PerSample:
        """The number of each sample, `[batch]`; differentiable."""
        return self._number(self._measure(samples))

    def _number(self, measurements: Measurements) -> PerSample:
        return measurements.mean(dim=1) if self._chosen is None else measurements[:, self._chosen]


class Attribution(ABC):
    """A method that assigns the measurement of a sample to its pixels.

    Attributes:
        local: True where a value is a slope, as of a gradient; False where it is the pixel's share of the
            measurement, as of input x gradient.
        random: True where it draws random numbers. It then sees one sample at a time, after torch's and numpy's global
            generators were seeded with the run's seed and the sample's number.
    """

    local: bool = False
    random: bool = False

    @abstractmethod
    def attribute(self, scalar: ScalarTarget, samples: Samples) -> Attributions:
        """Explain the measurement of samples.

        Args:
            scalar: maps samples to one number each. A module: methods may hook what lies in `scalar.networks`,
                and take their hooks away again.
            samples: `[batch, channels, height, width]`, nominally in [0, 1]; they do not require gradients.

        Returns:
            `[batch, channels, height, width]`, or `[batch, 1, height, width]` of a method that distinguishes places but
            not channels; float32, detached, finite. Values may be negative.

        Raises:
            UnsupportedError: the method does not fit this objective or these samples; others go on.
        """

    def attribute_at(self, scalar: ScalarTarget, samples: Samples, latents: Latents) -> Attributions:
        """Explain samples whose latents are known; by default `attribute`, which does without.

        Override it for a method that looks into the generator (`BuildContext.generator`), and let `attribute` find the
        latents by `Generator.invert`. A run calls this for its members, and for its query where it has the latent.

        Args:
            scalar: as for `attribute`.
            samples: as for `attribute`. They may differ a little from `generate(latents)`: members are rounded to 8
                bits, and a method's sensitivity is measured on samples that are moved.
            latents: `[batch, *latent_shape]`.
        """
        return self.attribute(scalar, samples)
