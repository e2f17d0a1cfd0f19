"""`lightningdit`: a flow of latents, decoded to an image. EquiDiff's latent is the start noise of the sampler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from PIL.Image import Image
from torch import Tensor

from equidiff.contracts import BuildContext, Generator, SplitSampler
from equidiff.errors import UnknownNameError, UsageError
from equidiff.networks.recompute import recompute_blocks
from equidiff.numerics.flow import reencode_flow
from equidiff.types import Latents, Samples, States
from equidiff_lightningdit.parts import FASHION, Parts, load_parts
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

if TYPE_CHECKING:
    from equidiff_lightningdit.plugin import LightningDiTOptions, SitOptions

STEPS = 50
FASHION_STEPS = 12
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
        reversed_time: the transformer's time runs from data (0) to noise (1), and it predicts `noise - data`.
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
        reversed_time: bool = False,
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
        self._reversed_time = reversed_time
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
        images = 2 * samples - 1
        mean = self._autoencoder.encode(images).latent_dist.mean
        velocity = self.velocity(len(samples), samples.device)
        return integrate_back(velocity, self._stats.normalise(mean), self._grid(self._steps))

    def split_sampler(self) -> SplitSampler | None:
        """The flow in two parts; None for dopri5, which chooses its own steps, and for a single step."""
        times = self._grid(self._steps)
        return None if self._method == "dopri5" or len(times) < 3 else FlowSplitSampler(self, times)

    def queries(self) -> list[Image]:
        """The query images of the small model; none for others."""
        return self._queries

    def integrate(self, latents: Tensor, times: Sequence[float]) -> Tensor:
        """Integrate latents from the first of these times to the last."""
        velocity = self.velocity(len(latents), latents.device)
        return integrate(velocity, latents, times, self._method, self.recompute)

    def decode(self, clean: Tensor) -> Samples:
        """Decode the flow's last latents to images."""
        return (self._autoencoder.decode(self._stats.denormalise(clean)).sample + 1) / 2

    def velocity(self, rows: int, device: torch.device) -> Velocity:
        """Velocity of the flow for this many rows."""
        labels = torch.full((rows,), self._label, device=device)
        return velocity_of(self._predict, labels, self._null, self._guidance)

    def _predict(self, latents: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        """The transformer's prediction of `data - noise` at times from noise (0) to data (1)."""
        if self._reversed_time:
            return -self._transformer(latents, 1 - times, labels)
        return self._transformer(latents, times, labels)

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


def build(argument: str | None, options: LightningDiTOptions, context: BuildContext) -> Generator:
    """Build `lightningdit`.

    Raises:
        UsageError: guidance is set without a class, or the method cannot take this many steps.
        UnknownNameError: there is no such model or class.
        WeightsError: the weights cannot be downloaded or read, or do not fit.
    """
    if options.label is None and options.guidance > 1:
        raise UsageError(
            "Guidance needs a class.",
            given=f"guidance={options.guidance:g}",
            expected="a class index as well",
            hint=f"lightningdit:{argument or 'xl-800ep'},class=340,guidance={options.guidance:g}",
        )
    steps = options.steps or (FASHION_STEPS if argument == FASHION else STEPS)
    intervals(options.method, steps)
    parts = load_parts(
        argument,
        autoencoder=options.autoencoder,
        stats=options.stats,
        multiplier=options.multiplier,
        heads=options.heads,
    )
    own: dict[str, Any] = {"network": "fashion", "queries": _garments()} if argument == FASHION else {}
    return from_parts(parts, steps, options, context, **own)


def from_parts(
    parts: Parts, steps: int, options: LightningDiTOptions | SitOptions, context: BuildContext, **own: Any
) -> LightningDiTGenerator:
    """Make a generator of its parts with the options that all transformers share; `own` are those of one.

    Raises:
        UnknownNameError: the transformer does not know the class.
    """
    context.weights.extend(record for record in parts.weights if record not in context.weights)
    check_label(options.label, parts.transformer.config.num_classes)
    return LightningDiTGenerator(
        parts,
        device=context.device,
        steps=steps,
        shift=options.shift,
        method=options.method,
        label=options.label,
        guidance=Guidance(options.guidance, options.guidance_start, options.guided_channels),
        recompute=options.checkpoint,
        compiled=options.compile,
        dtype=context.dtype,
        **own,
    )


def check_label(label: int | None, classes: int) -> None:
    """Raise for a class that the transformer does not know."""
    if label is not None and label >= classes:
        raise UnknownNameError(
            "The transformer was not trained with this class.",
            given=f"class={label}",
            expected=f"an index from 0 to {classes - 1}",
        )


def _garments() -> list[Image]:
    from equidiff.builtin.generators.fashion import load_queries

    return load_queries()
