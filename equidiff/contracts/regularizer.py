"""The contract of regularizers: views on which the measurement must hold too, and penalties."""

from __future__ import annotations

from abc import ABC

from equidiff.types import Latents, PerSample, Samples


class Regularizer(ABC):  # noqa: B024  both of its methods have a neutral default
    """Filtered views on which the measurement must hold too, and/or a penalty per sample."""

    def views(self, samples: Samples) -> list[Samples]:
        """Filtered copies of the samples, each of the samples' own shape; none by default."""
        return []

    def penalty(self, samples: Samples, latents: Latents) -> PerSample:
        """An amount >= 0 added to each sample's loss, `[batch]`; zero by default."""
        return samples.new_zeros(len(samples))
