"""A network as a user asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from equidiff.contracts import BuildContext
from equidiff.errors import UsageError
from equidiff.networks.preprocessing import Values


@final
@dataclass(frozen=True)
class Request:
    """The name and the options of a network, and the run that it is for.

    Attributes:
        model: the name as typed, with its prefix, e.g. "torchvision:resnet50".
        context: decides the device; records of the weights are appended to it.
        checkpoint: a local weights file; by default the published weights.
        pretrained: name of the published weights, where there are several.
        size: side of the network's square images, for a network that does not say how its images are prepared.
        mean: value subtracted from each channel: one for all, or one for each. None: the network's own.
        std: value that divides each channel, in the same form.
        pad: padding of timm's EfficientNet family.
        weights: load them; without, the network has random ones, which is enough to list its layers.
    """

    model: str
    context: BuildContext
    checkpoint: str | None = None
    pretrained: str | None = None
    size: int | None = None
    mean: Values | None = None
    std: Values | None = None
    pad: str | None = None
    weights: bool = True

    @property
    def name(self) -> str:
        """The name without its prefix."""
        return self.model.partition(":")[2] or self.model

    def bare(self) -> Request:
        """The same network without its weights."""
        return replace(self, weights=False)

    def refuse(self, *options: str, why: str, expected: str) -> None:
        """Refuse options that do not apply.

        Args:
            options: names of attributes.
            why: the problem, as a sentence.
            expected: what to give instead.

        Raises:
            UsageError: one of them is given.
        """
        given = [name for name in options if getattr(self, name) is not None]
        if given:
            raise UsageError(why, given=", ".join(given), expected=expected)
