"""The generator: from start noise to an image by a sampler of azula, differentiable throughout."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, final

import torch
from azula.denoise import Denoiser, DiracPosterior
from azula.sample import (
    EulerSampler,
    HeunSampler,
    REABSampler,
    Sampler,
    vABSampler,
    xEABSampler,
    zABSampler,
    zEABSampler,
)
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from equidiff.contracts import Generator, SplitSampler, StepwiseSampler
from equidiff.types import Latents, Samples, States

SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "euler": EulerSampler,
    "heun": HeunSampler,
    "zab": zABSampler,
    "vab": vABSampler,
    "zeab": zEABSampler,
    "xeab": xEABSampler,
    "reab": REABSampler,
}
# a step of these depends on the state alone; the others remember earlier steps, and cannot be stopped between two
ONE_STEP = ("euler", "heun")
NOISE_AT_SPLIT = 1 / 3  # share of noise in the state, sigma / (alpha + sigma)
CORRECTIONS = 2  # of a step that is reversed where a latent is looked for
FEWEST_STEPS = 8  # with fewer, re-encoding is too inaccurate


@final
class Conditioned(Denoiser):
    """A denoiser with its conditioning, whose evaluations are recomputed in the backward pass.

    Args:
        denoiser: a denoiser of azula.
        conditioning: its arguments beside state and time; tensors have one row, and nested mappings are allowed.
        dtype: "bfloat16" runs the network under autocast.
        recompute: recompute each evaluation in the backward pass, to save memory.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        conditioning: Mapping[str, Any] | None = None,
        dtype: str = "float32",
        recompute: bool = True,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser.eval().requires_grad_(False)
        self.schedule = denoiser.schedule
        self._conditioning = dict(conditioning or {})
        self._dtype = dtype
        self._recompute = recompute

    def forward(self, x_t: Tensor, t: Tensor, **kwargs: Any) -> DiracPosterior:
        """The posterior's mean for states `[batch, ...]` at time `[]`."""
        if self._recompute and torch.is_grad_enabled() and x_t.requires_grad:
            # nothing here draws random numbers, so the generators' state need not be kept
            mean = checkpoint(self._mean, x_t, t, use_reentrant=False, preserve_rng_state=False)
        else:
            mean = self._mean(x_t, t)
        return DiracPosterior(mean=mean)

    def _mean(self, x_t: Tensor, t: Tensor) -> Tensor:
        with torch.autocast(x_t.device.type, torch.bfloat16, enabled=self._dtype == "bfloat16"):
            return self.denoiser(x_t, t, **_rows(self._conditioning, x_t)).mean.to(x_t.dtype)


def _rows(conditioning: Mapping[str, Any], states: Tensor) -> dict[str, Any]:
    """Repeat the one row of every tensor for each of the states."""

    def repeat(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _rows(value, states)
        if isinstance(value, Tensor):
            return value.to(states.device).expand(len(states), *value.shape[1:])
        return value

    return {name: repeat(value) for name, value in conditioning.items()}


@final
class Azula(Generator):
    """A deterministic sampler of azula; the latent is its start noise, standard normal.

    Args:
        denoiser: the network with its conditioning.
        latent_shape: shape of one state.
        sampler: a key of `SAMPLERS`.
        steps: sampler steps.
        decode: maps last states to images in [-1, 1]; None for states that are such images.
        recompute: recompute the decoding in the backward pass.

    References:
        Rozet et al., azula: diffusion models in PyTorch. https://github.com/probabilists/azula
    """

    def __init__(
        self,
        denoiser: Conditioned,
        latent_shape: tuple[int, ...],
        sampler: str = "euler",
        steps: int = 20,
        decode: Callable[[Tensor], Tensor] | None = None,
        recompute: bool = True,
    ) -> None:
        self._denoiser, self._decoder, self._recompute = denoiser, decode, recompute
        self._kind, self._steps = sampler, steps
        self.latent_shape = latent_shape
        self.steps = steps
        device = next(iter(denoiser.parameters()), torch.zeros(())).device
        with torch.no_grad():
            self.sample_shape = tuple(self.decode(torch.zeros(1, *latent_shape, device=device)).shape[1:])

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Run the sampler from `latents`, `[batch, *latent_shape]`, and decode; see `Generator.generate`."""
        sampler = self._sampler(self._steps if steps is None else steps)
        # azula runs its samplers without gradients; the function beneath that decorator is the same sampler with them
        states = inspect.unwrap(type(sampler).__call__)(sampler, _scale(sampler) * latents)
        return self.decode(states)

    def split_sampler(self) -> SplitSampler | None:
        """The sampler in two parts; None where its steps depend on earlier ones, or are too few."""
        if self._kind not in ONE_STEP or self._steps < FEWEST_STEPS:
            return None
        sampler = self._sampler(self._steps)
        alpha, sigma = self._denoiser.schedule(sampler.timesteps)
        noisy = int((sigma / (alpha + sigma) >= NOISE_AT_SPLIT).sum()) - 1
        if not 0 < noisy < sampler.steps:
            return None
        return AzulaSplitSampler(sampler, float(_scale(sampler)), noisy, self.decode)

    def stepwise_sampler(self, steps: int | None = None) -> StepwiseSampler | None:
        """The sampler one step at a time; None where its steps depend on earlier ones, or images cannot be encoded."""
        if self._kind not in ONE_STEP or self._decoder is not None:
            return None
        return AzulaStepwiseSampler(self._sampler(steps or self._steps), self._sampler(self._steps), self.decode)

    def decode(self, states: Tensor) -> Samples:
        """Decode last states to images, nominally in [0, 1], not clamped."""
        if self._decoder is None:
            return states / 2 + 0.5
        if self._recompute and torch.is_grad_enabled() and states.requires_grad:
            images = checkpoint(self._decoder, states, use_reentrant=False, preserve_rng_state=False)
        else:
            images = self._decoder(states)
        return images / 2 + 0.5

    def _sampler(self, steps: int) -> Sampler:
        return SAMPLERS[self._kind](self._denoiser, steps=steps, silent=True)


@final
class AzulaSplitSampler(SplitSampler):
    """A one-step sampler of azula, split where a third of the state is noise.

    Args:
        sampler: the sampler.
        scale: factor from a latent to the first state.
        before: number of steps before the split.
        decode: maps last states to samples.
    """

    def __init__(self, sampler: Sampler, scale: float, before: int, decode: Callable[[Tensor], Samples]) -> None:
        self._sampler, self._scale, self._decode = sampler, scale, decode
        pairs = _pairs(sampler)
        self._before, self._after = pairs[:before], pairs[before:]

    def begin(self, latents: Latents) -> States:
        """Run the steps before the split; a state has one part."""
        states = self._scale * latents
        for time, following in self._before:
            states = self._sampler.step(states, time.to(states.device), following.to(states.device))
        return states[:, None]

    def finish(self, states: States) -> Samples:
        """Run the steps after the split, and decode."""
        moved = states[:, 0]
        for time, following in self._after:
            moved = self._sampler.step(moved, time.to(moved.device), following.to(moved.device))
        return self._decode(moved)

    @torch.no_grad()
    def reencode(self, latents: Latents, states: States, moved: States) -> Latents:
        """Reverse both states and add their difference to the latents, so that most of the error cancels."""
        both = _reverse(self._sampler, self._before, torch.cat([states[:, 0], moved[:, 0]]))
        before, after = both.chunk(2)
        return latents + (after - before) / self._scale


@final
class AzulaStepwiseSampler(StepwiseSampler):
    """A one-step sampler of azula, one step at a time; its states are images.

    Args:
        sampler: the sampler.
        own: that of the generator itself, which leads back to a latent.
        decode: maps last states to samples.
    """

    def __init__(self, sampler: Sampler, own: Sampler, decode: Callable[[Tensor], Samples]) -> None:
        self._sampler, self._own, self._decode = sampler, own, decode
        self._pairs = _pairs(sampler)
        alpha, sigma = sampler.denoiser.schedule(sampler.timesteps[:-1])
        self.noise_levels = tuple((sigma / alpha).flatten().tolist())

    def begin(self, latents: Latents) -> States:
        """The first states; a state has one part."""
        return _scale(self._sampler) * latents[:, None]

    def predict(self, states: States, step: int) -> Samples:
        """The denoised states; before the last step, the sampler's own end."""
        if step + 1 == len(self._pairs):
            return self._decode(self.advance(states, step, None)[:, 0])
        return self._decode(self._sampler.denoiser(states[:, 0], self._pairs[step][0].to(states.device)).mean)

    def advance(self, states: States, step: int, noise: Latents | None) -> States:
        """Do the step."""
        time, following = self._pairs[step]
        return self._sampler.step(states[:, 0], time.to(states.device), following.to(states.device))[:, None]

    @torch.no_grad()
    def encode(self, samples: Samples) -> Latents:
        """Reverse every step of the generator."""
        return _reverse(self._own, _pairs(self._own), 2 * samples - 1, CORRECTIONS) / _scale(self._own)


def _scale(sampler: Sampler) -> Tensor:
    """Standard deviation of the first state, for data of unit variance, as azula draws it."""
    alpha, sigma = sampler.denoiser.schedule(sampler.timesteps[0])
    return torch.sqrt(alpha**2 + sigma**2)


def _pairs(sampler: Sampler) -> list[tuple[Tensor, Tensor]]:
    """Times before and after each step."""
    return [(pair[0], pair[1]) for pair in sampler.timesteps.unfold(0, 2, 1)]


def _reverse(sampler: Sampler, pairs: Sequence[tuple[Tensor, Tensor]], states: Tensor, corrections: int = 0) -> Tensor:
    """The states before these steps, nearly.

    Euler's step is the same formula in both directions of time. A correction does the step again from what was found,
    and reverses what that is off by.
    """
    backward = partial(EulerSampler.step, EulerSampler(sampler.denoiser, silent=True))
    for pair in reversed(pairs):
        time, following = (each.to(states.device) for each in pair)
        before = first = backward(states, following, time)
        for _ in range(corrections):
            before = before + first - backward(sampler.step(before, time, following), following, time)
        states = before
    return states
