"""`toy:fashion`: a flow model of Fashion-MNIST garments that runs on a CPU.

The latent is the start noise of the sampler, which integrates the flow in a few steps. Trained by
`training/train_flow.py`, judged by `training/judge.py`.
"""

from __future__ import annotations

import hashlib
import math
from importlib.resources import files
from typing import TYPE_CHECKING, final

import torch
from PIL import Image
from safetensors.torch import load
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from equidiff.builtin.generators.unet import UNet
from equidiff.contracts import BuildContext, Generator, SplitSampler, StepwiseSampler, Weights
from equidiff.errors import UnsupportedError
from equidiff.images.read import open_image
from equidiff.numerics.flow import integrate_back, reencode_flow
from equidiff.types import Latents, Samples, States

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

STEPS = 8
TIME_POWER = 1.5  # times are (k / steps)^1.5: steps are shorter early, where the garment is decided

SPLIT = 0.75  # share of the steps before the split

# inversion
CORRECTIONS, CORRECTION = 5, 0.8  # of the state before the last step; more of them would leave the prior
BACKWARD_STEPS = 20  # from that state to the start noise
GOOD_FIT = 0.05  # error in standard deviations of the sample; a larger one is refined
REFINEMENTS, UPDATES = 5, 4  # at most this many refinements of this many L-BFGS updates


@final
class FashionFlow(Generator):
    """Integrates a flow from noise to a garment.

    The sampler is a second-order multistep method: each step aims at the clean image extrapolated from the
    last two predictions to the middle of the step. A step takes one network evaluation; the last is first-order.

    Args:
        flow: predicts the clean image, in [-1, 1].
        steps: sampler steps, one network evaluation each.
        recompute: recompute each step in the backward pass (gradient checkpointing), to save memory.
        dtype: "bfloat16" runs the network under autocast.

    References:
        Lipman et al. (2023), "Flow matching for generative modeling". https://arxiv.org/abs/2210.02747
        Lu et al. (2022), "DPM-Solver++", the multistep solver. https://arxiv.org/abs/2211.01095
    """

    latent_shape = (1, 28, 28)
    sample_shape = (1, 28, 28)
    network = "fashion"

    def __init__(self, flow: UNet, steps: int = STEPS, recompute: bool = False, dtype: str = "float32") -> None:
        self.flow = flow.eval().requires_grad_(False)
        self.steps = steps
        self.recompute = recompute
        self.dtype = dtype

    def generate(self, latents: Latents, steps: int | None = None) -> Samples:
        count: int = steps or self.steps or STEPS
        return (self._sample(latents, _times(count)) + 1) / 2

    @torch.no_grad()
    def invert(self, samples: Samples) -> Latents:
        """The start noise of samples.

        The last step removes the noise that its state still had. The inverse puts a fixed noise in its place and
        corrects the state until it is denoised to the sample. From that state it integrates the flow backwards in small
        steps. If the sampler's own, longer steps do not lead back to the sample, it refines the noise by gradient.

        Raises:
            UnsupportedError: the sampler has a single step, which loses the start noise.
        """
        times = _times(self.steps or STEPS)
        if len(times) < 3:
            raise UnsupportedError(
                "A sampler with a single step loses the start noise, so it cannot invert samples.",
                given="steps=1",
                expected="at least 2 steps",
                hint="--generator toy:fashion",
            )
        latents = self.encode(samples, times[-2])
        for row in (self._error(latents, samples) >= GOOD_FIT**2).nonzero().flatten().tolist():
            here = slice(row, row + 1)  # alone, so that no row depends on another
            latents[here] = self._refine(latents[here], samples[here])
        return latents

    def encode(self, samples: Samples, time: float) -> Latents:
        """The start noise of samples, roughly: through a state at this time that is denoised to them."""
        return self._integrate_back(self._before_denoising(2 * samples - 1, time), time)

    def stepwise_sampler(self, steps: int | None = None) -> StepwiseSampler | None:
        return FashionStepwiseSampler(self, steps or self.steps or STEPS)

    def split_sampler(self) -> SplitSampler | None:
        steps = self.steps or STEPS
        return FashionSplitSampler(self, steps) if steps > 1 else None

    def queries(self) -> list[Image.Image]:
        return load_queries()

    def integrate(self, states: States, times: list[float], first: int, last: int) -> States:
        """Integrate from step `first` to step `last`: states, each with the clean image predicted last."""
        state, clean = states.unbind(dim=1)
        for k in range(first, last):
            step = (state, clean, times[max(k - 1, 0)], times[k], times[k + 1])
            if self.recompute and torch.is_grad_enabled():
                state, clean = checkpoint(self._step, *step, use_reentrant=False)
            else:
                state, clean = self._step(*step)
        return torch.stack([state, clean], dim=1)

    def velocity(self, state: Tensor, time: float) -> Tensor:
        """Velocity of the flow at a time below 1."""
        return (self.denoise(state, time) - state) / (1 - time)

    def _sample(self, latents: Tensor, times: list[float]) -> Tensor:
        return self.integrate(torch.stack([latents, latents], dim=1), times, 0, len(times) - 1)[:, 0]

    def _before_denoising(self, clean: Tensor, time: float) -> Tensor:
        """A state at this time, as noisy as usual then, that is denoised to `clean`, approximately."""
        noise = torch.randn(1, *self.latent_shape, generator=torch.Generator().manual_seed(0)).to(clean.device)
        state = time * clean + (1 - time) * noise
        for _ in range(CORRECTIONS):
            state = state + CORRECTION * (clean - self.denoise(state, time))
        return state

    def _integrate_back(self, state: Tensor, time: float) -> Tensor:
        """The start noise of a state at this time, by Heun's method."""
        return integrate_back(self.velocity, state, time, BACKWARD_STEPS)

    def _refine(self, latent: Tensor, sample: Tensor) -> Tensor:
        """A latent nearby whose sample is closer to the given one; both are a single row."""
        moved = latent.clone().requires_grad_()
        search = torch.optim.LBFGS([moved], max_iter=UPDATES, line_search_fn="strong_wolfe")

        def loss() -> float:
            with torch.enable_grad():
                error = self._error(moved, sample).sum()
                (moved.grad,) = torch.autograd.grad(error, moved)
            return float(error.detach())

        best, least = latent, self._error(latent, sample)
        for _ in range(REFINEMENTS):
            search.step(loss)
            error = self._error(moved.detach(), sample)
            if bool(error < least):
                best, least = moved.detach().clone(), error
            if bool(least < GOOD_FIT**2):
                break
        return best

    def _error(self, latents: Tensor, samples: Tensor) -> Tensor:
        """Mean squared error of the latents' samples, `[batch]`, relative to the variance of each target."""
        variance = samples.flatten(1).var(dim=1, correction=0).clamp(min=1e-12)
        return (self.generate(latents) - samples).flatten(1).square().mean(dim=1) / variance

    def _step(self, state: Tensor, previous: Tensor, before: float, now: float, after: float) -> tuple[Tensor, Tensor]:
        clean = self.denoise(state, now)
        aim = clean
        if now > 0 and after < 1:
            aim = clean + (clean - previous) * (after - now) / (2 * (now - before))
        # the velocity (aim - state) / (1 - now) would be infinite at the end; its product with the step is not
        return state + (after - now) / (1 - now) * (aim - state), clean

    def denoise(self, state: Tensor, time: float) -> Tensor:
        """The clean image in [-1, 1] that the flow sees in states."""
        with torch.autocast(state.device.type, torch.bfloat16, enabled=self.dtype == "bfloat16"):
            return self.flow(state, state.new_full((len(state),), time)).float()


@final
class FashionSplitSampler(SplitSampler):
    """The sampler split after three quarters of its steps, when about a third of the state is noise.

    Args:
        flow: the generator.
        steps: number of sampler steps, at least 2.
    """

    def __init__(self, flow: FashionFlow, steps: int) -> None:
        self._flow, self._steps = flow, steps
        self._times = _times(steps)
        self._step = min(round(SPLIT * steps), steps - 1)

    def begin(self, latents: Latents) -> States:
        return self._flow.integrate(torch.stack([latents, latents], dim=1), self._times, 0, self._step)

    def finish(self, states: States) -> Samples:
        return (self._flow.integrate(states, self._times, self._step, self._steps)[:, 0] + 1) / 2

    def reencode(self, latents: Latents, states: States, moved: States) -> Latents:
        return reencode_flow(self._flow.velocity, latents, states[:, 0], moved[:, 0], self._times[self._step])


@final
class FashionStepwiseSampler(StepwiseSampler):
    """The sampler one step at a time.

    Args:
        flow: the generator.
        steps: number of sampler steps.
    """

    def __init__(self, flow: FashionFlow, steps: int) -> None:
        self._flow = flow
        self._times = _times(steps)
        self.noise_levels = tuple((1 - time) / time if time > 0 else math.inf for time in self._times[:-1])

    def begin(self, latents: Latents) -> States:
        return torch.stack([latents, latents], dim=1)

    def predict(self, states: States, step: int) -> Samples:
        return (self._flow.denoise(states[:, 0], self._times[step]) + 1) / 2

    def advance(self, states: States, step: int, noise: Latents | None) -> States:
        return self._flow.integrate(states, self._times, step, step + 1)

    def encode(self, samples: Samples) -> Latents:
        return self._flow.encode(samples, _times(max(self._flow.steps or STEPS, 2))[-2])


def _times(steps: int) -> list[float]:
    return [(k / steps) ** TIME_POWER for k in range(steps + 1)]


def load_queries() -> list[Image.Image]:
    """Twenty held-out test images of Fashion-MNIST, two of each class; images i and i + 10 share a class."""
    folder = files("equidiff") / "queries" / "fashion"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".png"))
    return [_read(folder / name) for name in names]


def _read(file: Traversable) -> Image.Image:
    with file.open("rb") as content:
        image = open_image(content, ("PNG",))
        image.load()
    return image


def load_fashion_flow(context: BuildContext, steps: int | None, recompute: bool) -> FashionFlow:
    """Load the shipped weights."""
    content = (files("equidiff") / "weights" / "fashion_flow.safetensors").read_bytes()
    context.weights.append(Weights("fashion_flow.safetensors", hashlib.sha256(content).hexdigest()))
    flow = UNet()
    flow.load_state_dict({name: value.float() for name, value in load(content).items()})
    if torch.device(context.device).type == "cpu":
        flow = flow.to(memory_format=torch.channels_last)  # a tenth faster there
    return FashionFlow(flow.to(context.device), steps or STEPS, recompute, context.dtype)
