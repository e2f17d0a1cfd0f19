"""The generator: from start noise to an image through diffusers' networks, differentiable throughout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import torch
from diffusers import AutoencoderTiny
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from equidiff.contracts import Generator, SplitSampler, StepwiseSampler
from equidiff.errors import InexactInverseError
from equidiff.networks.recompute import recompute_blocks
from equidiff.types import Latents, Samples, States
from equidiff_sd.sampler import UNDO_TOLERANCE, Plan, Sampler, Step
from equidiff_sd.text import Conditioning

SPLIT = 0.75  # share of the steps before the split
FEWEST_STEPS = 8  # with fewer, re-encoding is too inaccurate
SWEEPS = 4  # evaluations for a step that is reversed where a latent is looked for
INVERSION_LIMIT = 0.1  # standard deviations that EquiDiff's contract allows an inverse to be off by


@final
class Denoiser:
    """A UNet and its conditioning.

    Args:
        unet: a diffusers `UNet2DModel` or `UNet2DConditionModel`.
        conditions: weights and the UNet's inputs beside state and time; the prediction is the weighted sum over them.
        dtype: "bfloat16" runs the network under autocast.
    """

    def __init__(
        self, unet: nn.Module, conditions: Sequence[tuple[float, Conditioning]] = ((1.0, {}),), dtype: str = "float32"
    ) -> None:
        self._unet = unet.eval().requires_grad_(False)
        self._weights, self._conditionings = zip(*conditions, strict=True)
        self._dtype = dtype

    def __call__(self, states: Tensor, time: Tensor) -> Tensor:
        """The network's prediction for states `[batch, channels, height, width]` at one time `[]`."""
        with torch.autocast(states.device.type, torch.bfloat16, enabled=self._dtype == "bfloat16"):
            conditioning = _stack(self._conditionings, states)
            stacked = torch.cat([states] * len(self._weights))
            predictions = self._unet(stacked, time, **conditioning, return_dict=False)[0].to(states.dtype)
        parts = predictions.chunk(len(self._weights))
        return torch.stack([weight * part for weight, part in zip(self._weights, parts, strict=True)]).sum(dim=0)


def _stack(conditionings: Sequence[Mapping[str, Any]], states: Tensor) -> dict[str, Any]:
    """Arguments for all states under the first conditioning, then for all under the next one, and so on."""
    stacked: dict[str, Any] = {}
    for name, first in conditionings[0].items():
        each = [conditioning[name] for conditioning in conditionings]
        if isinstance(first, Mapping):
            stacked[name] = _stack(each, states)
        else:
            stacked[name] = torch.cat([one.to(states).expand(len(states), *one.shape[1:]) for one in each])
    return stacked


@final
class Autoencoder:
    """The map between images and the space that the UNet works in.

    Args:
        model: a diffusers `AutoencoderKL` or `AutoencoderTiny`.

    Attributes:
        factor: ratio of the sides of an image to those of its latent.
        channels: number of channels of an image.
        latent_channels: number of channels of a latent.
    """

    def __init__(self, model: Any) -> None:
        self._model = model.eval().requires_grad_(False)
        self._scaling = model.config.scaling_factor
        self.factor = 2 ** (len(model.config.block_out_channels) - 1)
        self.channels: int = model.config.out_channels
        self.latent_channels: int = model.config.latent_channels

    def recompute(self) -> None:
        """Keep less for the backward pass; see `recompute_blocks`."""
        recompute_blocks(self._model, (ResnetBlock2D, Attention, Upsample2D, AutoencoderTinyBlock))

    def decode(self, states: Tensor) -> Tensor:
        """Decode states to images, nominally in [0, 1], not clamped."""
        return self._model.decode(states / self._scaling, return_dict=False)[0] / 2 + 0.5

    def encode(self, samples: Tensor) -> Tensor:
        """Encode images to the means of the encoder's distributions."""
        encoded = self._model.encode(samples * 2 - 1)
        return self._scaling * (
            encoded.latents if isinstance(self._model, AutoencoderTiny) else encoded.latent_dist.mean
        )


@final
class Diffusion(Generator):
    """A diffusion model's deterministic sampler; the latent is its start noise.

    Args:
        denoiser: the network.
        sampler: the coefficients of its steps.
        latent_shape: (channels, height, width) of the space that the network works in.
        steps: sampler steps, one network evaluation each (two with guidance).
        autoencoder: decodes the sampler's last state; None for a network that works on pixels.
        recompute: recompute each step, and each block of the decoder, in the backward pass, to save memory.

    References:
        Rombach et al. (2022), "High-resolution image synthesis with latent diffusion models".
            https://arxiv.org/abs/2112.10752
    """

    def __init__(
        self,
        denoiser: Denoiser,
        sampler: Sampler,
        latent_shape: tuple[int, int, int],
        steps: int,
        autoencoder: Autoencoder | None = None,
        recompute: bool = True,
    ) -> None:
        self._denoiser, self._sampler, self._autoencoder = denoiser, sampler, autoencoder
        self.latent_shape = latent_shape
        self.sample_shape: tuple[int, ...] = latent_shape
        if autoencoder is not None:
            _, height, width = latent_shape
            self.sample_shape = (autoencoder.channels, height * autoencoder.factor, width * autoencoder.factor)
        self.steps = steps
        self.recompute = recompute
        if recompute and autoencoder is not None:
            autoencoder.recompute()

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Run the sampler from `latents`, `[batch, *latent_shape]`, and decode; see `Generator.generate`."""
        plan = self._sampler.plan(self.steps if steps is None else steps)
        return self.decode(self.integrate(plan.start * latents, plan.steps))

    @torch.no_grad()
    def invert(self, samples: Samples) -> Latents:
        """The start noise of samples: encode them, then undo every sampler step from the last to the first.

        Args:
            samples: `[batch, *sample_shape]`.

        Raises:
            InexactInverseError: the autoencoder does not reconstruct the samples, or a step is undone only roughly.
            UnsupportedError: the last step does not depend on its state.
        """
        plan = self._sampler.plan(self.steps)
        states, problem = self._encode(samples)
        for step in reversed(plan.steps):
            states, change = step.undo(states, self._denoiser)
            left = ~(change < UNDO_TOLERANCE)
            if left.any() and problem is None:
                problem = (
                    f"The sampler's step at time {float(step.time):.0f} is undone only roughly for {int(left.sum())} "
                    f"samples, which still change by {float(change.max()):.2g} of their length."
                )
        if problem is not None:
            raise InexactInverseError(problem, states / plan.start)
        return states / plan.start

    def split_sampler(self) -> SplitSampler | None:
        """The sampler in two parts; None if it has too few steps."""
        plan = self._sampler.plan(self.steps)
        return DiffusionSplitSampler(self, plan) if len(plan.steps) >= FEWEST_STEPS else None

    def stepwise_sampler(self, steps: int | None = None) -> StepwiseSampler:
        """The sampler one step at a time."""
        return DiffusionStepwiseSampler(self, self._sampler.plan(steps or self.steps), self._sampler.plan(self.steps))

    def see(self, states: Tensor, step: Step) -> Tensor:
        """The clean images that the network sees in the states before a step."""
        return self._recomputed(step.see, states, self._denoiser)

    def integrate(self, states: Tensor, steps: Sequence[Step]) -> Tensor:
        """Integrate states over these steps."""
        for step in steps:
            states = self._recomputed(step.do, states, self._denoiser)
        return states

    def reverse(self, states: Tensor, steps: Sequence[Step], sweeps: int = 1) -> Tensor:
        """Approximate the states before these steps, with some evaluations for each."""
        for step in reversed(steps):
            states = step.reverse(states, self._denoiser, sweeps)
        return states

    def decode(self, states: Tensor) -> Samples:
        """Decode the sampler's last states to images."""
        return states / 2 + 0.5 if self._autoencoder is None else self._autoencoder.decode(states)

    def encode(self, samples: Samples) -> Tensor:
        """Encode images to the sampler's last states."""
        return samples * 2 - 1 if self._autoencoder is None else self._autoencoder.encode(samples)

    def _encode(self, samples: Tensor) -> tuple[Tensor, str | None]:
        """Last states of samples, and a sentence if they are not decoded to them."""
        states = self.encode(samples)
        if self._autoencoder is None:
            return states, None
        errors = (self._autoencoder.decode(states) - samples).flatten(1).square().mean(dim=1).sqrt()
        worst = float((errors / samples.flatten(1).std(dim=1).clamp(min=1e-6)).max())
        if worst < INVERSION_LIMIT:
            return states, None
        return states, f"The autoencoder reconstructs these samples with an error of {worst:.2g} standard deviations."

    def _recomputed(self, function: Callable[..., Tensor], states: Tensor, *others: Any) -> Tensor:
        if self.recompute and torch.is_grad_enabled() and states.requires_grad:
            # nothing here draws random numbers, so the generators' state need not be kept
            return checkpoint(function, states, *others, use_reentrant=False, preserve_rng_state=False)
        return function(states, *others)


@final
class DiffusionSplitSampler(SplitSampler):
    """The sampler split after three quarters of its steps.

    Args:
        generator: the diffusion.
        plan: all steps of its sampler.
    """

    def __init__(self, generator: Diffusion, plan: Plan) -> None:
        self._generator, self._start = generator, plan.start
        step = round(SPLIT * len(plan.steps))
        self._before, self._after = plan.steps[:step], plan.steps[step:]

    def begin(self, latents: Latents) -> States:
        """Run the steps before the split; a state has one part."""
        return self._generator.integrate(self._start * latents, self._before)[:, None]

    def finish(self, states: States) -> Samples:
        """Run the steps after the split, and decode."""
        return self._generator.decode(self._generator.integrate(states[:, 0], self._after))

    def reencode(self, latents: Latents, states: States, moved: States) -> Latents:
        """Reverse both states and add their difference to the latents, so that most of the error cancels."""
        both = torch.cat([states[:, 0], moved[:, 0]])
        before, after = self._generator.reverse(both, self._before).chunk(2)
        return latents + (after - before) / self._start


@final
class DiffusionStepwiseSampler(StepwiseSampler):
    """The sampler, one step at a time.

    Args:
        generator: the diffusion.
        plan: the steps.
        own: those of the generator itself, which lead back to a latent.
    """

    def __init__(self, generator: Diffusion, plan: Plan, own: Plan) -> None:
        self._generator, self._plan, self._own = generator, plan, own
        self.noise_levels = tuple(step.level for step in plan.steps)

    def begin(self, latents: Latents) -> States:
        """The first states; a state has one part."""
        return self._plan.start * latents[:, None]

    def predict(self, states: States, step: int) -> Samples:
        """Compute the clean image, and decode; before the last step, the sampler's own end."""
        here, taken = states[:, 0], self._plan.steps[step]
        last = taken is self._plan.steps[-1]
        return self._generator.decode(
            self._generator.integrate(here, [taken]) if last else self._generator.see(here, taken)
        )

    def advance(self, states: States, step: int, noise: Latents | None) -> States:
        """Do the step."""
        return self._generator.integrate(states[:, 0], [self._plan.steps[step]])[:, None]

    def encode(self, samples: Samples) -> Latents:
        """Encode to the last states, and reverse every step of the generator."""
        return self._generator.reverse(self._generator.encode(samples), self._own.steps, SWEEPS) / self._own.start
