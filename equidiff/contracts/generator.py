"""The contract of generators: from a latent to a sample."""

from __future__ import annotations

from abc import ABC, abstractmethod

from PIL.Image import Image

from equidiff.contracts.sample_kind import SampleKind
from equidiff.contracts.split_sampler import SplitSampler
from equidiff.contracts.stepwise_sampler import StepwiseSampler
from equidiff.errors import UnsupportedError
from equidiff.types import Latents, Samples


class Generator(ABC):
    """A differentiable map from a latent, standard normal by definition, to a sample.

    Attributes:
        latent_shape: shape of one latent, without the batch axis.
        sample_shape: shape of one sample, without the batch axis.
        kind: of the samples, e.g. `Signal(rate=16000)`; None where their shape says it: samples of the shape (1 or 3,
            height, width) are images then, and others are points.
        network: name of the network that objectives use unless told otherwise, e.g. "fashion"; None where there is
            no natural one.
        steps: sampler steps that `generate` makes unless told otherwise; None where there are none.
    """

    latent_shape: tuple[int, ...]
    sample_shape: tuple[int, ...]
    kind: SampleKind | None = None
    network: str | None = None
    steps: int | None = None

    @abstractmethod
    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Map latents to samples; differentiable and deterministic.

        Args:
            latents: `[batch, *latent_shape]`, float32, drawn from N(0, I), or updated since.
            steps: number of sampler steps, for generators that have them; their own default when None.

        Returns:
            `[batch, *sample_shape]`, float32, nominally in the range of their kind, not clamped: images in [0, 1],
            signals in [-1, 1].
        """

    def invert(self, samples: Samples) -> Latents:
        """Latents that `generate` maps to these samples, nearly.

        Raises:
            InexactInverseError: the latents that were found, which it carries, lead back to the samples only roughly.
            UnsupportedError: this generator cannot invert.
        """
        raise UnsupportedError(f"{type(self).__name__} cannot invert samples.")

    def split_sampler(self) -> SplitSampler | None:
        """Its sampler in two parts, for searches among intermediate states; None where it cannot be split."""
        return None

    def stepwise_sampler(self, steps: int | None = None) -> StepwiseSampler | None:
        """Its sampler one step at a time, for solvers that guide it; None where it has none.

        Args:
            steps: how many; the sampler's own number when None.
        """
        return None

    def queries(self) -> list[Image] | Samples:
        """The generator's own query samples, for `--query INDEX`: images, or one tensor. None by default."""
        return []
