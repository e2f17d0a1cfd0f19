"""The contract of stepwise samplers: a sampler one step at a time, so that it can be guided along its way."""

from __future__ import annotations

from abc import ABC, abstractmethod

from equidiff.types import Latents, Samples, States


class StepwiseSampler(ABC):
    """A generator's sampler one step at a time, for solvers that change its state along the way.

    It leads from a latent to a sample of the generator's distribution. Where it makes as many steps as `generate`, and
    no fresh noise, it leads to the same sample; it need not.

    Attributes:
        noise_levels: of the state before each step, falling: the factor of the noise over the factor of the clean
            sample; infinite where the state is noise alone.
        stochastic: whether steps add fresh noise.
    """

    noise_levels: tuple[float, ...]
    stochastic: bool = False

    @abstractmethod
    def begin(self, latents: Latents) -> States:
        """States before the first step, without an evaluation of the network.

        Args:
            latents: `[batch, *latent_shape]`.

        Returns:
            `[batch, parts, *latent_shape]`: first the state, which solvers change; then the sampler's memory of its
            way, if it has one, which they leave alone.
        """

    @abstractmethod
    def predict(self, states: States, step: int) -> Samples:
        """The clean samples that the network sees in states before a step: one evaluation; differentiable.

        Those before the last step are the samples that the sampler ends in.
        """

    @abstractmethod
    def advance(self, states: States, step: int, noise: Latents | None) -> States:
        """States after a step: one evaluation of the network.

        Args:
            states: before the step.
            step: 0 for the first; never the last one, which `predict` takes.
            noise: `[batch, *latent_shape]`, from N(0, I); None where the sampler adds none.
        """

    @abstractmethod
    def encode(self, samples: Samples) -> Latents:
        """Latents that `generate` maps to these samples, nearly; as many evaluations for each sample."""
