"""Deterministic samplers, as plain numbers that are read off diffusers' scheduler objects."""

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
FORGOTTEN = 1e-6  # what rounding leaves of a factor that is zero
UNDO_ITERATIONS = 100
UNDO_CHANGE = 1e-5  # of a state's length


@dataclass(frozen=True)
class Step:
    """One step of a sampler: `keep * state + add * predict(scale * state, time)`.

    Attributes:
        time: what the network is told, `[]`, of the dtype that the scheduler gives it.
        scale: factor on the state where the network sees it.
        keep: factor on the state.
        add: factor on the network's prediction.
    """

    time: Tensor
    scale: float
    keep: float
    add: float

    def do(self, state: Tensor, predict: Predict) -> Tensor:
        """The state after this step."""
        return self.keep * state + self.add * predict(self.scale * state, self.time)

    def look_back(self, after: Tensor, predict: Predict) -> Tensor:
        """Roughly the state that this step maps to `after`, from one evaluation there (DDIM's inversion)."""
        return self._before(after, after / self.keep, predict)

    def undo(self, after: Tensor, predict: Predict) -> Tensor:
        """The state that this step maps to `after`, `[batch, ...]`, by fixed-point iteration.

        Raises:
            UnsupportedError: the iteration does not converge, or the step forgets its state.
        """
        if abs(self.keep) < FORGOTTEN:
            raise UnsupportedError("The sampler's last step does not depend on its state, so it cannot be undone.")

        state, off = solve_fixed_point(
            partial(self._before, after, predict=predict), after / self.keep, UNDO_ITERATIONS, UNDO_CHANGE
        )
        left = ~(off < UNDO_CHANGE)
        if left.any():
            raise UnsupportedError(
                f"The sampler's step at time {float(self.time):.0f} cannot be undone for {int(left.sum())} samples.",
                given=f"a state that still changes by {float(off.max()):.2g} of its length",
                expected=f"less than {UNDO_CHANGE:g} after {UNDO_ITERATIONS} iterations",
            )
        return state

    def _before(self, after: Tensor, guess: Tensor, predict: Predict) -> Tensor:
        """The state that leads to `after` if the network predicts there what it does at a guess."""
        return (after - self.add * predict(self.scale * guess, self.time)) / self.keep


@dataclass(frozen=True)
class Plan:
    """All steps of a sampler.

    Attributes:
        start: factor from a standard normal latent to the sampler's first state.
        steps: in the order in which they are done.
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
        device: where the times are kept.

    Raises:
        UnsupportedError: the network predicts something else than noise, clean image or velocity.

    References:
        Song et al. (2021), "Denoising diffusion implicit models", eq. 12. https://arxiv.org/abs/2010.02502
        Karras et al. (2022), the Euler steps. https://arxiv.org/abs/2206.00364
    """

    def __init__(self, method: str, config: dict[str, Any], device: str = "cpu") -> None:
        kind = config.get("prediction_type", "epsilon")
        if kind not in PREDICTIONS:
            raise UnsupportedError(
                "These samplers do not know what the network predicts.", given=kind, expected=", ".join(PREDICTIONS)
            )
        self.method = method
        plain = {**config, "clip_sample": False, "thresholding": False} if method == "ddim" else config
        self._scheduler: Any = SCHEDULERS[method].from_config(plain)
        self._device = device
        self.plan = cache(self._plan)

    def _plan(self, count: int) -> Plan:
        """The steps of a sampler with this many of them; kept, because a run asks for the same ones again and again.

        Raises:
            UsageError: there are not so many different times.
            UnsupportedError: the noise schedule begins with noise alone, which this method cannot begin with.
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
                f"{self.method} cannot begin with the pure noise of this model's schedule.",
                given=f"scheduler={self.method}",
                hint="scheduler=euler",
            )
        return plan

    def _read(self, time: Tensor) -> Step:
        """The numbers of the next step: it is linear, so what it makes of (1, 0) and (0, 1) is all there is to know."""
        scale = float(self._scheduler.scale_model_input(torch.ones(1), time))
        state, prediction = torch.eye(2, dtype=torch.float64)
        keep, add = self._scheduler.step(prediction, time, state, return_dict=False)[0].tolist()
        return Step(time.to(self._device), scale, keep, add)

    def _wrong_count(self, count: int) -> EquiDiffError:
        times = self._scheduler.config.num_train_timesteps
        return UsageError(
            "The sampler cannot take so many steps.", given=f"steps={count}", expected=f"from 1 to less than {times}"
        )
