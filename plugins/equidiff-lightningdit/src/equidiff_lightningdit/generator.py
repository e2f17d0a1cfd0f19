"""`lightningdit`: a flow of latents, decoded to an image. EquiDiff's latent is the start noise of the sampler."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import final

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from PIL.Image import Image
from torch import Tensor

from equidiff.contracts import Generator, SplitSampler, StepwiseSampler
from equidiff.networks.recompute import recompute_blocks
from equidiff.numerics.flow import reencode_flow
from equidiff.types import Latents, Samples, States
from equidiff_lightningdit.clocks import FORWARD, Ask, Clock
from equidiff_lightningdit.parts import Parts
from equidiff_lightningdit.sampler import (
    SHIFT,
    Guidance,
    Method,
    Velocity,
    integrate,
    integrate_back,
    intervals,
    time_grid,
    velocity_of,
)

STEPS = 50
SPLIT_AT = 0.6  # time: 0 is noise, 1 is data


@final
class LightningDiTGenerator(Generator):
    """Integrates the flow from noise to a latent, and decodes it.

    Args:
        parts: transformer, autoencoder and latent statistics.
        device: device to compute on; the parts are moved to it.
        steps: network evaluations.
        shift: shift of the time grid; see `sampler.time_grid`.
        method: integrator of the flow.
        label: class index; unconditional (the null label) when absent.
        guidance: classifier-free guidance towards the class.
        recompute: recompute each step, and each block of the decoder, in the backward pass (gradient checkpointing):
            what is kept is one latent a step, and the inputs of the decoder's blocks.
        compiled: compile the transformer.
        dtype: "bfloat16" runs the transformer in it; latents, time and decoder stay float32.
        clock: the transformer's time, and how to ask it for a velocity.
        network: name of the network that objectives use unless told otherwise.
        queries: the generator's own query images.

    References:
        Yao, Yang, Wang (2025), https://arxiv.org/abs/2501.01423
    """

    def __init__(
        self,
        parts: Parts,
        *,
        device: str = "cpu",
        steps: int = STEPS,
        shift: float = SHIFT,
        method: Method = "euler",
        label: int | None = None,
        guidance: Guidance | None = None,
        recompute: bool = True,
        compiled: bool = False,
        dtype: str = "float32",
        clock: Clock = FORWARD,
        network: str | None = None,
        queries: list[Image] | None = None,
    ) -> None:
        config = parts.transformer.config
        levels = len(parts.autoencoder.config["block_out_channels"])
        side = config.input_size * 2 ** (levels - 1)
        self.latent_shape = (config.in_channels, config.input_size, config.input_size)
        self.sample_shape = (parts.autoencoder.config["out_channels"], side, side)
        self.network = network
        self.steps = self._steps = steps
        self.recompute = recompute
        self._null = parts.transformer.null_label
        self._label = self._null if label is None else label
        self._guidance = guidance or Guidance()
        self._shift, self._method = shift, method
        transformer = parts.transformer.to(device)
        if dtype == "bfloat16":
            transformer.narrow(torch.bfloat16)
        self._transformer = torch.compile(transformer) if compiled else transformer
        self._clock = clock
        self._autoencoder = parts.autoencoder.to(device)
        if recompute:
            recompute_blocks(self._autoencoder.decoder, (ResnetBlock2D, Attention, Upsample2D))
        self._stats = parts.stats.to(device)
        self._queries = queries or []
        self._times = {steps: time_grid(intervals(method, steps) + 1, shift).tolist()}

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        """Map start noise to images with this many network evaluations; see `Generator.generate`."""
        return self.decode(self.integrate(latents, self._grid(steps or self._steps)))

    @torch.no_grad()
    def invert(self, samples: Samples) -> Latents:
        """Encode images, and integrate the flow backwards through the steps of `generate`.

        Neither is exact: the autoencoder loses detail, and an Euler step does not always have an inverse. `equidiff
        doctor` with a folder of images measures the error of the round trip. Other integrators are inverted as if they
        were Euler's.
        """
        return self.integrate_back(self.encode(samples), self.times)

    def split_sampler(self) -> SplitSampler | None:
        """The flow in two parts; None for dopri5, which chooses its own steps, and for a single step."""
        return None if self._method == "dopri5" or len(self.times) < 3 else FlowSplitSampler(self, self.times)

    def stepwise_sampler(self, steps: int | None = None) -> StepwiseSampler | None:
        """The flow one step at a time; None for dopri5. One of several stages takes a whole interval as a step."""
        return None if self._method == "dopri5" else FlowStepwiseSampler(self, self._grid(steps or self._steps))

    @property
    def times(self) -> Sequence[float]:
        """Times of the sampler, from 0 (noise) to 1 (data)."""
        return self._grid(self._steps)

    def queries(self) -> list[Image]:
        """The query images of the small model; none for others."""
        return self._queries

    def integrate(self, latents: Tensor, times: Sequence[float], euler: bool = False) -> Tensor:
        """Integrate latents from the first of these times to the last, by Euler's method if asked for."""
        velocity = self.velocity(len(latents), latents.device)
        return integrate(velocity, latents, times, "euler" if euler else self._method, self.recompute)

    def integrate_back(self, latents: Tensor, times: Sequence[float]) -> Tensor:
        """Integrate latents from the last of these times to the first, nearly; see `invert`."""
        return integrate_back(self.velocity(len(latents), latents.device), latents, times)

    def encode(self, samples: Samples) -> Tensor:
        """Encode images to the flow's last latents."""
        return self._stats.normalise(self._autoencoder.encode(2 * samples - 1).latent_dist.mean)

    def decode(self, clean: Tensor) -> Samples:
        """Decode the flow's last latents to images."""
        return (self._autoencoder.decode(self._stats.denormalise(clean)).sample + 1) / 2

    def velocity(self, rows: int, device: torch.device) -> Velocity:
        """Velocity of the flow for this many rows."""
        return self._asked(self._clock.flow, rows, device)

    def mean_velocity(self, rows: int, device: torch.device) -> Velocity:
        """Mean velocity of the flow from a time to its end; for networks that were trained to know it."""
        assert self._clock.mean is not None
        return self._asked(self._clock.mean, rows, device)

    def _asked(self, ask: Ask, rows: int, device: torch.device) -> Velocity:
        labels = torch.full((rows,), self._label, device=device)
        return velocity_of(partial(ask, self._transformer), labels, self._null, self._guidance)

    def _grid(self, steps: int) -> list[float]:
        if steps not in self._times:
            self._times[steps] = time_grid(intervals(self._method, steps) + 1, self._shift).tolist()
        return self._times[steps]


@final
class FlowSplitSampler(SplitSampler):
    """The flow, split at a time when somewhat more than a third of the state is noise.

    Args:
        generator: the flow.
        times: times of its sampler, at least three.
    """

    def __init__(self, generator: LightningDiTGenerator, times: Sequence[float]) -> None:
        self._generator = generator
        inner = range(1, len(times) - 1)
        step = next((k for k in inner if times[k] >= SPLIT_AT), inner[-1])
        self._before, self._after = times[: step + 1], times[step:]

    def begin(self, latents: Latents) -> States:
        """Integrate from the noise to the split; a state has one part."""
        return self._generator.integrate(latents, self._before)[:, None]

    def finish(self, states: States) -> Samples:
        """Integrate from the split to the end, and decode."""
        return self._generator.decode(self._generator.integrate(states[:, 0], self._after))

    def reencode(self, latents: Latents, states: States, moved: States) -> Latents:
        """Integrate both backwards in a few steps; see `equidiff.numerics.flow.reencode_flow`."""
        velocity = self._generator.velocity(2 * len(latents), latents.device)
        return reencode_flow(velocity, latents, states[:, 0], moved[:, 0], self._after[0])


@final
class FlowStepwiseSampler(StepwiseSampler):
    """The flow, one interval of its time at a time.

    Args:
        generator: the flow.
        times: ends of the intervals, from 0 (noise) to 1 (data).
    """

    def __init__(self, generator: LightningDiTGenerator, times: Sequence[float]) -> None:
        self._generator, self._times = generator, times
        self.noise_levels = tuple((1 - time) / time if time > 0 else math.inf for time in times[:-1])

    def begin(self, latents: Latents) -> States:
        """The noise; a state has one part."""
        return latents[:, None]

    def predict(self, states: States, step: int) -> Samples:
        """Go straight on to the end of the flow, and decode."""
        return self._generator.decode(self._generator.integrate(states[:, 0], [self._times[step], 1.0], euler=True))

    def advance(self, states: States, step: int, noise: Latents | None) -> States:
        """Integrate over the interval."""
        return self._generator.integrate(states[:, 0], self._times[step : step + 2])[:, None]

    def encode(self, samples: Samples) -> Latents:
        """Invert the flow of the generator's own steps."""
        return self._generator.invert(samples)
