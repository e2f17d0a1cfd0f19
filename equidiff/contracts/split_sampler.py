"""The contract of split samplers: stopped on the way, and continued from another state."""

from __future__ import annotations

from abc import ABC, abstractmethod

from equidiff.types import Latents, Samples, States


class Midway(ABC):
    """A generator in two halves, for solvers that search between them.

    Late on its way a sampler has most of its steps behind it: what is left is cheap to go through and hardly bent, so a
    search from there takes fewer passes, and shorter ones. Which latent leads to the state that was found is then
    asked of `retrace`.

    Where to stop is the generator's choice. Noise should be a third of the state, or somewhat more: with much less,
    moves are no longer shaped by what the sampler takes for real.
    """

    @abstractmethod
    def begin(self, latents: Latents) -> States:
        """The first half.

        Args:
            latents: `[batch, *latent_shape]`.

        Returns:
            `[batch, parts, *latent_shape]`: first the state, which solvers move; then what else the sampler remembers
            of its way, which they leave.
        """

    @abstractmethod
    def finish(self, states: States) -> Samples:
        """The second half: `finish(begin(z))` is `generate(z)`. Differentiable and deterministic.

        Args:
            states: `[batch, parts, *latent_shape]`.

        Returns:
            `[batch, *sample_shape]`.
        """

    @abstractmethod
    def retrace(self, latents: Latents, states: States, moved: States) -> Latents:
        """Latents that lead to moved states, nearly.

        A look back that is off by a tenth of the move will do: solvers look at what the latents lead to, and go on from
        there. They pay for network evaluations, so there should be few.

        Args:
            latents: `[batch, *latent_shape]`.
            states: `[batch, parts, *latent_shape]`, what they lead to.
            moved: the same, with other first parts.

        Returns:
            `[batch, *latent_shape]`; `latents` where nothing was moved.
        """
