"""Integration of the flow from noise to data: the published sampler, made differentiable.

The path is `x_t = t * data + (1 - t) * noise`, so `dx/dt` is the network's velocity, and t runs from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchdiffeq import odeint

from equidiff.errors import UsageError

Method = Literal["euler", "midpoint", "heun2", "rk4", "dopri5"]
Velocity = Callable[[Tensor, float | Tensor], Tensor]
Network = Callable[[Tensor, Tensor, Tensor], Tensor]  # maps latents, times and labels to velocities
STAGES = {"euler": 1, "midpoint": 2, "heun2": 2, "rk4": 4}  # network evaluations in one interval of the grid
SHIFT = 0.3
CFG_CHANNELS = 3
CHECKPOINT = {"use_reentrant": False, "preserve_rng_state": False}  # nothing here is random
SOLVED = 1e-6  # relative error of an inverted step: float32 allows no smaller one
DOPRI5 = {"rtol": 1e-3, "atol": 1e-6}  # as published


def time_grid(points: int, shift: float = SHIFT) -> Float[Tensor, " points"]:
    """Times from 0 (noise) to 1 (data).

    Args:
        points: number of times, at least 2.
        shift: below 1, more times are near the noise; 1 and 0 make them uniform.
    """
    times = torch.linspace(0, 1, points)
    return shift * times / (1 + (shift - 1) * times) if shift > 0 else times


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance.

    Attributes:
        scale: factor on the step from the prediction without a class to that with it; no guidance at 1 or below.
        start: time from which guidance applies, in [0, 1].
        channels: number of channels that are guided, the first ones; the others keep the prediction for the class. The
            published figures were made with 3. None guides all, which calls for a much lower scale.
    """

    scale: float = 1.0
    start: float = 0.0
    channels: int | None = CFG_CHANNELS

    def active(self, time: float | Tensor) -> bool:
        """True if guidance applies at this time, which is read only if that depends on it."""
        return self.scale > 1 and (self.start <= 0 or float(time) >= self.start)

    def combine(self, known: Tensor, unknown: Tensor) -> Tensor:
        """Combine the velocities with and without a class into the guided one."""
        guided = unknown[:, : self.channels] + self.scale * (known - unknown)[:, : self.channels]
        return torch.cat([guided, known[:, guided.shape[1] :]], dim=1)


def velocity_of(model: Network, label: Int[Tensor, " batch"], null: int, guidance: Guidance) -> Velocity:
    """Velocity as a function of latents `[batch, channels, side, side]` and a time that they share.

    Args:
        model: called with latents, times and labels.
        label: a class index for each row.
        null: the label of no class.
        guidance: time, strength and channels of the guidance.

    Returns:
        The velocity in the dtype of the latents, whatever that of the network is.
    """

    def predict(latents: Tensor, time: float | Tensor, labels: Tensor) -> Tensor:
        return model(latents, _times(time, latents), labels).to(latents.dtype)

    def velocity(latents: Tensor, time: float | Tensor) -> Tensor:
        if not guidance.active(time):
            return predict(latents, time, label)
        labels = torch.cat([label, torch.full_like(label, null)])
        return guidance.combine(*predict(torch.cat([latents, latents]), time, labels).chunk(2))

    return velocity


def _times(time: float | Tensor, latents: Tensor) -> Tensor:
    """The same time for each row; a tensor is not read, which would make the host wait for the device."""
    if isinstance(time, Tensor):
        return time.to(latents.dtype).expand(len(latents))
    return latents.new_full((len(latents),), time)


def sample_ode(
    model: nn.Module,
    noise: Float[Tensor, "batch channels side side"],
    *,
    steps: int = 249,
    shift: float = SHIFT,
    label: Int[Tensor, " batch"] | None = None,
    cfg_scale: float = 1.0,
    cfg_start: float = 0.0,
    cfg_channels: int | None = CFG_CHANNELS,
    method: Method = "euler",
) -> Float[Tensor, "batch channels side side"]:
    """Integrate from noise to data; differentiable in the noise, deterministic.

    Args:
        model: a LightningDiT, or anything with its forward pass and `null_label`.
        noise: standard normal, `[batch, channels, side, side]`, float32 (or wider, with a model as wide).
        steps: network evaluations; a guided one counts once. The published sampler's 250 grid points are 249 steps. A
            multiple of the method's stages: 2 for midpoint and heun2, 4 for rk4. dopri5 chooses its own steps.
        shift: shift of the time grid; see `time_grid`.
        label: class indices, `[batch]`; the null label when absent.
        cfg_scale: scale of classifier-free guidance; no guidance at 1 or below.
        cfg_start: time from which guidance applies.
        cfg_channels: number of channels that are guided; see `Guidance`.
        method: euler as published; the others by torchdiffeq.

    Returns:
        Normalised latents, of the noise's shape and dtype.

    Raises:
        UsageError: the steps are no multiple of the method's stages.
    """
    null: int = model.null_label  # pyrefly: ignore[bad-assignment]
    labels = torch.full((len(noise),), null, device=noise.device) if label is None else label
    velocity = velocity_of(model, labels, null, Guidance(cfg_scale, cfg_start, cfg_channels))
    return integrate(velocity, noise, time_grid(intervals(method, steps) + 1, shift).tolist(), method)


def intervals(method: Method, steps: int) -> int:
    """Number of intervals of the time grid for this many network evaluations.

    Raises:
        UsageError: the steps are no multiple of the method's stages.
    """
    stages = STAGES.get(method, 1)
    if steps < 1 or steps % stages:
        raise UsageError(
            f"{method} evaluates the network {stages} times in each interval.",
            given=f"steps={steps}",
            expected=f"a multiple of {stages}, at least {stages}",
            hint=f"steps={max(1, round(steps / stages)) * stages}",
        )
    return steps // stages


def integrate(
    velocity: Velocity, noise: Tensor, times: Sequence[float], method: Method = "euler", recompute: bool = False
) -> Tensor:
    """Integrate from the first time to the last.

    Args:
        velocity: see `velocity_of`.
        noise: start, `[batch, channels, side, side]`.
        times: ends of the intervals, increasing.
        method: integrator for an interval; dopri5 uses the first and last time only.
        recompute: recompute each interval in the backward pass (gradient checkpointing), to save memory.
    """
    if method == "dopri5":
        return _cross(velocity, noise, times[0], times[-1], method)
    latents = noise
    for now, after in pairwise(times):
        if recompute and torch.is_grad_enabled():
            latents = checkpoint(_cross, velocity, latents, now, after, method, **CHECKPOINT)
        else:
            latents = _cross(velocity, latents, now, after, method)
    return latents


def integrate_back(
    velocity: Velocity, latents: Tensor, times: Sequence[float], sweeps: int = 20
) -> Float[Tensor, "batch channels side side"]:
    """Invert Euler's integration: approximate the start that `integrate` maps to these latents.

    Each Euler step `x' = x + h v(x)` is an equation for x, solved by iterating `x = x' - h v(x)`. If the iteration does
    not contract, the best iterate is kept; `integrate` then shows the error of the result.

    Args:
        velocity: see `velocity_of`.
        latents: desired end of `integrate`.
        times: as in `integrate`.
        sweeps: largest number of iterations for each step.
    """
    for after, now in pairwise(reversed(times)):
        latents = _step_back(velocity, latents, now, after, sweeps)
    return latents


def _step_back(velocity: Velocity, target: Tensor, now: float, after: float, sweeps: int) -> Tensor:
    guess, best, least = target, target, target.new_full((len(target),), torch.inf)
    enough = SOLVED**2 * target.flatten(1).square().sum(dim=1)
    for _ in range(sweeps):
        step = (after - now) * velocity(guess, now)
        error = (guess + step - target).flatten(1).square().sum(dim=1)
        better = (error < least) & (least > enough)  # a solved row stays, so that it does not depend on others
        best = torch.where(better[:, None, None, None], guess, best)
        least = torch.where(better, error, least)
        if (least <= enough).all():
            break
        guess = target - step
    return best


def _cross(velocity: Velocity, latents: Tensor, now: float, after: float, method: Method) -> Tensor:
    """Cross one interval. Its times are numbers of the host, which so never waits for the device."""
    if method == "dopri5":
        return _dopri5(velocity, latents, now, after)
    size = after - now
    slope = velocity(latents, now)
    if method == "euler":
        return latents + size * slope
    if method == "midpoint":
        return latents + size * velocity(latents + size / 2 * slope, now + size / 2)
    if method == "heun2":
        return latents + size / 2 * (slope + velocity(latents + size * slope, after))
    # rk4: Kutta's 3/8 rule, as torchdiffeq has it under this name
    second = velocity(latents + size / 3 * slope, now + size / 3)
    third = velocity(latents + size * (second - slope / 3), now + 2 * size / 3)
    fourth = velocity(latents + size * (slope - second + third), after)
    return latents + size / 8 * (slope + 3 * (second + third) + fourth)


def _dopri5(velocity: Velocity, latents: Tensor, now: float, after: float) -> Tensor:
    """Adaptive steps, which wait for the device to learn their errors, but not for the time of each evaluation."""

    def derivative(time: Tensor, state: Tensor) -> Tensor:
        return velocity(state.to(latents.dtype), time).to(state.dtype)

    times = torch.tensor([now, after], dtype=torch.float64, device=latents.device)
    # in float64: otherwise rounding decides which steps are accepted, and changes the result by their tolerance
    return odeint(derivative, latents.double(), times, method="dopri5", **DOPRI5)[-1].to(latents.dtype)
