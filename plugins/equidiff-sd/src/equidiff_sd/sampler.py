"""Deterministic samplers as tables of coefficients, read from diffusers' scheduler objects."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, final

import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler
from torch import Tensor

from equidiff.errors import EquiDiffError, UnsupportedError, UsageError
from equidiff_sd.fixed_point import solve_fixed_point

Predict = Callable[[Tensor, Tensor], Tensor]

SCHEDULERS = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler}
PREDICTIONS = ("epsilon", "sample", "v_prediction")
# noise schedules of discrete times that DDIM and Euler's method can step through, whichever sampler a model comes with;
# those of LCM and TCD are the same, but their networks were trained for other steps
SCHEDULES = (
    "DDIMScheduler", "DDPMScheduler", "DEISMultistepScheduler", "DPMSolverMultistepScheduler", "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler", "EulerAncestralDiscreteScheduler", "EulerDiscreteScheduler",
    "HeunDiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "KDPM2DiscreteScheduler", "LMSDiscreteScheduler",
    "PNDMScheduler", "UniPCMultistepScheduler",
)  # fmt: skip
NEARLY_ZERO = 1e-6  # a factor below this is zero up to rounding
UNDO_ITERATIONS = 100
UNDO_TOLERANCE = 1e-5  # relative change of a state


@dataclass(frozen=True)
class Step:
    """One step of a sampler: `keep * state + add * predict(scale * state, time)`.

    Attributes:
        time: time that the network gets, `[]`, of the scheduler's dtype.
        scale: factor on the state that the network gets.
        keep: factor on the state.
        add: factor on the network's prediction.
        level: of the noise before the step, its factor over that of the clean image.
        clean: factors on the state and on the prediction that give the clean image.
    """

    time: Tensor
    scale: float
    keep: float
    add: float
    level: float
    clean: tuple[float, float]

    def do(self, state: Tensor, predict: Predict) -> Tensor:
        """Compute the state after this step."""
        return self.keep * state + self.add * predict(self.scale * state, self.time)

    def see(self, state: Tensor, predict: Predict) -> Tensor:
        """Compute the clean image that the network sees in the state before this step."""
        keep, add = self.clean
        return keep * state + add * predict(self.scale * state, self.time)

    def reverse(self, after: Tensor, predict: Predict, sweeps: int = 1) -> Tensor:
        """Approximate the state that this step maps to `after` in some evaluations; in one, by DDIM inversion."""
        state = after / self.keep
        for _ in range(sweeps):
            state = self._before(after, state, predict)
        return state

    def undo(self, after: Tensor, predict: Predict) -> tuple[Tensor, Tensor]:
        """Compute the state that this step maps to `after`, `[batch, ...]`, by fixed-point iteration.

        Returns:
            The states, and the relative change that a further iteration would make, `[batch]`; at most
            `UNDO_TOLERANCE` where the iteration converged.

        Raises:
            UnsupportedError: the step does not depend on its state.
        """
        if abs(self.keep) < NEARLY_ZERO:
            raise UnsupportedError("The sampler's last step does not depend on its state, so it cannot be undone.")
        undone = partial(self._before, after, predict=predict)
        return solve_fixed_point(undone, after / self.keep, UNDO_ITERATIONS, UNDO_TOLERANCE)

    def _before(self, after: Tensor, guess: Tensor, predict: Predict) -> Tensor:
        """The state that leads to `after` if the network's prediction there is that at the guess."""
        return (after - self.add * predict(self.scale * guess, self.time)) / self.keep


@dataclass(frozen=True)
class Plan:
    """All steps of a sampler.

    Attributes:
        start: factor from a standard normal latent to the sampler's first state.
        steps: in the order of sampling.
    """

    start: float
    steps: tuple[Step, ...]


@final
class Sampler:
    """DDIM without noise, or Euler's method, for a noise schedule.

    Predictions of the clean image are never clipped, whatever the configuration says: a clamp has no gradient.

    Args:
        method: "ddim" or "euler".
        config: a diffusers scheduler's configuration: betas, kind of prediction, spacing of the times.
        device: device of the times.

    Raises:
        UnsupportedError: the network predicts neither noise, clean image nor velocity.

    References:
        Song et al. (2021), "Denoising diffusion implicit models", eq. 12. https://arxiv.org/abs/2010.02502
        Karras et al. (2022), the Euler steps. https://arxiv.org/abs/2206.00364
    """

    def __init__(self, method: str, config: dict[str, Any], device: str = "cpu") -> None:
        kind = config.get("prediction_type", "epsilon")
        if kind not in PREDICTIONS:
            raise UnsupportedError(
                "The samplers do not support this kind of prediction.", given=kind, expected=", ".join(PREDICTIONS)
            )
        self.method = method
        plain = {**config, "clip_sample": False, "thresholding": False} if method == "ddim" else config
        self._scheduler: Any = SCHEDULERS[method].from_config(plain)
        self._device = device
        self.plan = cache(self._plan)

    def _plan(self, count: int) -> Plan:
        """Compute the plan of this many steps; cached, because a run needs the same plans again and again.

        Raises:
            UsageError: the schedule has fewer times than that.
            UnsupportedError: the schedule starts with pure noise, which this method cannot handle.
        """
        times = self._scheduler.config.num_train_timesteps
        if not 1 <= count <= times:
            raise self._wrong_count(count)
        self._scheduler.set_timesteps(count)
        if self._scheduler.timesteps.max() >= times:
            raise self._wrong_count(count)
        start = float(self._scheduler.init_noise_sigma)
        plan = Plan(start, tuple(self._read(time) for time in self._scheduler.timesteps))
        if not all(map(math.isfinite, (plan.start, *(n for s in plan.steps for n in (s.scale, s.keep, s.add))))):
            raise UnsupportedError(
                f"{self.method} cannot start from the pure noise of this model's schedule.",
                given=f"scheduler={self.method}",
                hint="scheduler=euler",
            )
        return plan

    def _read(self, time: Tensor) -> Step:
        """Coefficients of the next step: it is linear, so its results for (1, 0) and (0, 1) determine it."""
        scale = float(self._scheduler.scale_model_input(torch.ones(1), time))
        level = self._level(time)
        state, prediction = torch.eye(2, dtype=torch.float64)
        done = self._scheduler.step(prediction, time, state)
        keep, add = done.prev_sample.tolist()
        return Step(time.to(self._device), scale, keep, add, level, tuple(done.pred_original_sample.tolist()))

    def _level(self, time: Tensor) -> float:
        """Level of the noise before the next step."""
        if self.method == "euler":
            return float(self._scheduler.sigmas[self._scheduler.step_index])
        clean = float(self._scheduler.alphas_cumprod[time])
        return math.sqrt((1 - clean) / clean) if clean > 0 else math.inf

    def _wrong_count(self, count: int) -> EquiDiffError:
        times = self._scheduler.config.num_train_timesteps
        return UsageError(
            "The sampler cannot take this many steps.", given=f"steps={count}", expected=f"from 1 to less than {times}"
        )


def check_schedule(config: dict[str, Any], elsewhere: str) -> None:
    """Check that these samplers have the noise of a schedule.

    Args:
        config: a diffusers scheduler's configuration, as saved.
        elsewhere: hint of the error: a command that runs the schedule.

    Raises:
        UnsupportedError: they do not have it.
    """
    name = config.get("_class_name")
    other = None if name in SCHEDULES else name or "scheduler without a name"
    if config.get("use_flow_sigmas"):
        other = f"{name} with use_flow_sigmas"
    if config.get("timestep_type") == "continuous":
        other = f"{name} with continuous times"
    if other:
        raise UnsupportedError(
            f"This generator has no sampler for the schedule of {other}.",
            given=other,
            expected=f"the schedule of one of {', '.join(each.removesuffix('Scheduler') for each in SCHEDULES)}",
            hint=elsewhere,
        )
