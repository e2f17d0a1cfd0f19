"""A small denoiser of vectors, trained by the scripts of this folder, and the generator that it makes.

The noise and the two samplers are those of the published experiments: betas that grow linearly from 1e-4 to 0.02 over
1,000 steps, and

- a second-order solver of the flow in 20 steps (DPM-Solver++), which maps a latent to a sample: the generator;
- ancestral sampling in 200 steps, which the solver `ndtm` guides.

The network is a smaller one of the same kind, and predicts `v = sqrt(a) noise - sqrt(1 - a) clean` in place of the
noise: from the noise, few steps make samples far outside of the data, since the first divides by sqrt(a) = 0.006.

References:
    Rousselot, Wendebourg and Köthe (2026), "Show me what you don't know". https://arxiv.org/abs/2603.21782
    Lu et al. (2022), "DPM-Solver++", algorithm 2. https://arxiv.org/abs/2211.01095
    Salimans and Ho (2022), "Progressive distillation for fast sampling of diffusion models", which has v.
        https://arxiv.org/abs/2202.00512
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from equidiff.contracts import Generator, StepwiseSampler
from equidiff.errors import UnsupportedError

AnyModule = TypeVar("AnyModule", bound=nn.Module)
TIMES = 1000
BETAS = (1e-4, 0.02)
BATCH = 256
STEPS_BACK = 100


class Denoiser(nn.Module):
    """Predicts v of a noisy vector; residual blocks of layer norm, linear, SiLU, linear.

    Args:
        size: of a vector.
        width: of the blocks.
        blocks: number of blocks.
    """

    def __init__(self, size: int, width: int = 128, blocks: int = 3) -> None:
        super().__init__()
        self.time = nn.Embedding(TIMES, 64)
        self.first = nn.Linear(size + 64, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.last = nn.Linear(width, size)

    def forward(self, states: Tensor, times: Tensor) -> Tensor:
        """Predict v.

        Args:
            states: `[rows, size]`.
            times: `[rows]`, whole numbers below 1,000.
        """
        hidden = self.first(torch.cat([states, self.time(times)], dim=1))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.last(hidden)


def signal_shares() -> Tensor:
    """The cumulative products of 1 - beta, `[1000]`, float64: the signal's share of the variance after each step."""
    return (1 - torch.linspace(*BETAS, TIMES, dtype=torch.float64)).cumprod(dim=0)


def train_denoiser(data: Tensor, updates: int, width: int = 128, blocks: int = 3, seed: int = 0) -> Denoiser:
    """Train a denoiser of rows of `[rows, size]`."""
    torch.manual_seed(seed)
    model = Denoiser(data.shape[1], width, blocks)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=updates, pct_start=0.05)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    share = signal_shares().float()
    for _ in range(updates):
        clean = data[torch.randint(len(data), (BATCH,))]
        times, noise = torch.randint(TIMES, (BATCH,)), torch.randn_like(clean)
        kept, added = _factors(share[times, None])
        loss = (model(kept * clean + added * noise, times) - (kept * noise - added * clean)).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
    return average.module.eval().requires_grad_(False)


def train_classifier(data: Tensor, labels: Tensor, model: nn.Module, updates: int, seed: int = 0) -> nn.Module:
    """Train a classifier with a balanced loss."""
    torch.manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.reset_parameters()
    counts = labels.bincount().float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-4)
    model.train()
    for _ in range(updates):
        rows = torch.randint(len(data), (256,))
        loss = nn.functional.cross_entropy(model(data[rows]), labels[rows], counts.sum() / (len(counts) * counts))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def kept(path: Path, model: AnyModule, train: Callable[[], AnyModule]) -> AnyModule:
    """The weights of an earlier run from a file; otherwise the model is trained, which is said, and kept."""
    if path.exists():
        model.load_state_dict(load_file(path))
        return model.eval().requires_grad_(False)
    started = time.monotonic()
    model = train()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), path)
    print(f"trained {path.stem} in {time.monotonic() - started:.0f} s, kept as {path}", flush=True)
    return model


class Denoised(Generator):
    """Integrates the flow: a latent is the state of the most noise, a sample is what the last step predicts.

    Args:
        denoiser: predicts v.
        decode: maps the denoiser's vectors to samples; as they are when None.
        steps: of the solver, one evaluation each.
        limit: of the coordinates of clean vectors that the guided sampler predicts, as published.
    """

    def __init__(self, denoiser: Denoiser, decode: nn.Module | None = None, steps: int = 20, limit: float = 12) -> None:
        self.denoiser, self.steps, self.limit = denoiser, steps, limit
        self.decode = decode or nn.Identity()
        self.latent_shape = (denoiser.last.out_features,)
        with torch.no_grad():
            self.sample_shape = tuple(self.decode(torch.zeros(1, *self.latent_shape)).shape[1:])
        self.share = signal_shares().float()

    def generate(self, latents: Tensor, steps: int | None = None) -> Tensor:
        """Map latents to samples."""
        state, times = latents, self.grid(steps or self.steps)
        levels = self._levels[times].tolist()
        previous = None
        for k, (now, after) in enumerate(pairwise(times)):
            clean, length = self.clean(state, now), levels[k + 1] - levels[k]
            aim = clean
            if previous is not None:  # extrapolated to the middle of the step
                aim = clean + (clean - previous) * length / (2 * (levels[k] - levels[k - 1]))
            (_, before), (kept, added) = _factors(self.share[now]), _factors(self.share[after])
            state, previous = added / before * state - kept * math.expm1(-length) * aim, clean
        return self.decode(self.clean(state, times[-1]))

    def stepwise_sampler(self, steps: int | None = None) -> StepwiseSampler:
        """Ancestral sampling, which `ndtm` guides."""
        return Ancestral(self, steps or self.steps)

    def clean(self, states: Tensor, time: int) -> Tensor:
        """The clean vectors that the network sees in states."""
        kept, added = _factors(self.share[time])
        return kept * states - added * self.denoiser(states, torch.full((len(states),), time))

    def grid(self, steps: int) -> list[int]:
        """Times from the noisiest to 0, whose log ratios of signal and noise are evenly spaced, nearly."""
        wanted = torch.linspace(float(self._levels[-1]), float(self._levels[0]), steps)
        nearest = (self._levels[:, None] - wanted).abs().argmin(dim=0)
        return nearest.unique().flip(0).tolist()  # near 0 two may be the same

    @property
    def _levels(self) -> Tensor:
        """The logarithm of the factor of the signal over that of the noise, at each time."""
        return 0.5 * (self.share / (1 - self.share)).log()


class Ancestral(StepwiseSampler):
    """Ancestral sampling, whose steps add the noise of the posterior given the predicted clean vector.

    The published code rescales its betas to the number of steps, so that its noise levels are not those that the
    network is told; here they are.

    Args:
        generator: the denoiser's.
        steps: of the sampler.
    """

    stochastic = True

    def __init__(self, generator: Denoised, steps: int) -> None:
        self._generator = generator
        self._times = [TIMES * k // steps for k in reversed(range(steps))]
        share = generator.share[self._times]
        self.noise_levels = tuple(((1 - share) / share).sqrt().tolist())

    def begin(self, latents: Tensor) -> Tensor:
        """The state alone."""
        return latents[:, None]

    def predict(self, states: Tensor, step: int) -> Tensor:
        """The decoded clean vectors."""
        return self._generator.decode(self._clean(states[:, 0], self._times[step]))

    def advance(self, states: Tensor, step: int, noise: Tensor | None) -> Tensor:
        """A draw from the posterior of the next state."""
        state, (now, after) = states[:, 0], self._times[step : step + 2]
        before, behind = self._generator.share[now], self._generator.share[after]
        kept = before / behind
        clean = self._clean(state, now)
        mean = (behind.sqrt() * (1 - kept) * clean + kept.sqrt() * (1 - behind) * state) / (1 - before)
        return (mean + ((1 - behind) / (1 - before) * (1 - kept)).sqrt() * noise)[:, None]

    def encode(self, samples: Tensor) -> Tensor:
        """The flow backwards, in small steps of first order; for samples that need no decoder."""
        generator = self._generator
        if not isinstance(generator.decode, nn.Identity):
            raise UnsupportedError("Decoded samples are not encoded here.", given=type(generator.decode).__name__)
        state, times = samples, generator.grid(STEPS_BACK)[::-1]
        for now, after in pairwise(times):
            (kept, added), clean = _factors(generator.share[now]), generator.clean(state, now)
            state = _mixed(generator.share[after], clean, (state - kept * clean) / added)
        return state

    def _clean(self, state: Tensor, time: int) -> Tensor:
        limit = self._generator.limit
        return self._generator.clean(state, time).clamp(-limit, limit)


def _factors(share: Tensor) -> tuple[Tensor, Tensor]:
    """Of the clean vector and of the noise."""
    return share.sqrt(), (1 - share).sqrt()


def _mixed(share: Tensor, clean: Tensor, noise: Tensor) -> Tensor:
    kept, added = _factors(share)
    return kept * clean + added * noise
