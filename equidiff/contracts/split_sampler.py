"""The contract of split samplers: stopped at an intermediate state, and continued from another one."""

from __future__ import annotations

from abc import ABC, abstractmethod

from equidiff.types import Latents, Samples, States


class SplitSampler(ABC):
    """A generator's sampler in two parts, for solvers that search among its intermediate states.

    Late on its way a sampler has most of its steps behind it. Its tail is cheap to go through and hardly bent, so a
    search from there takes fewer passes, and shorter ones. `reencode` then finds a latent that leads to the state that
    was found.

    Where to split is the generator's choice. Noise should be a third of the state, or somewhat more: with much less,
    steps are no longer shaped by what the sampler takes for real.
    """

    @abstractmethod
    def begin(self, latents: Latents) -> States:
        """The first part of the sampler.

        Args:
            latents: `[batch, *latent_shape]`.

        Returns:
            `[batch, parts, *latent_shape]`: first the state, which solvers change; then the sampler's memory of its
            way, if it has one, which they leave alone.
        """

    @abstractmethod
    def finish(self, states: States) -> Samples:
        """The tail: `finish(begin(z))` is `generate(z)`. Differentiable and deterministic.

        Args:
            states: `[batch, parts, *latent_shape]`.

        Returns:
            `[batch, *sample_shape]`.
        """

    @abstractmethod
    def reencode(self, latents: Latents, states: States, moved: States) -> Latents:
        """Latents that lead to moved states, nearly: an approximate inversion.

        An error of a tenth of the distance moved will do: solvers look at the sample that the latents lead to, and go
        on from there. They pay for every evaluation of the network, so few should be made.

        Args:
            latents: `[batch, *latent_shape]`.
            states: `[batch, parts, *latent_shape]`, to which they lead.
            moved: the same, with other first parts.

        Returns:
            `[batch, *latent_shape]`; `latents` where nothing was moved.
        """
