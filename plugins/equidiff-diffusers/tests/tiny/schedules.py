"""Tiny pipelines with other schedulers than their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import diffusers
from diffusers import DiffusionPipeline
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from diffusers.utils import DummyObject

from . import CALLS

STEPS = 4  # so that samplers of the third order reach it

HOMES = {
    "CMStochasticIterativeScheduler": ("consistency",),
    "CogVideoXDDIMScheduler": ("cogview3",),
    "DDIMScheduler": ("ddim", "sd"),
    "DDPMScheduler": ("ddpm", "sd"),
    "DDPMWuerstchenScheduler": ("stable-cascade",),
    "FlowMatchEulerDiscreteScheduler": ("flux", "sd3"),
    "FlowMatchHeunDiscreteScheduler": ("sd3",),
    "FlowMatchLCMScheduler": ("flux", "sd3"),
    "SCMScheduler": ("sana-sprint",),
}
"""Families that a scheduler was made for; Stable Diffusion for all others."""

SETTINGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("DDIMScheduler", "sd2", {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}),
    ("DDPMScheduler", "sd", {"variance_type": "fixed_large"}),
    ("DPMSolverMultistepScheduler", "sd", {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True}),
    ("DPMSolverMultistepScheduler", "sd", {"solver_order": 3, "final_sigmas_type": "sigma_min"}),
    ("DPMSolverMultistepScheduler", "sana", {}),
    ("EulerDiscreteScheduler", "sdxl", {"use_karras_sigmas": True, "timestep_spacing": "trailing"}),
    ("FlowMatchEulerDiscreteScheduler", "sd3", {"stochastic_sampling": True}),
    ("FlowMatchEulerDiscreteScheduler", "sd3", {"use_exponential_sigmas": True}),
    ("PNDMScheduler", "sd", {"skip_prk_steps": False}),
    ("UniPCMultistepScheduler", "sana", {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}),
)
"""Schedulers that have several algorithms: class, family, settings."""


def classes() -> Iterator[str]:
    """Names of the installed scheduler classes, and of those that lack a package."""
    for name in dir(diffusers):
        found = getattr(diffusers, name)
        if name.endswith("Scheduler") and (isinstance(found, DummyObject) or issubclass(found, SchedulerMixin)):
            yield name


def homes(scheduler: str) -> tuple[str, ...]:
    """Families to try a scheduler with."""
    return HOMES.get(scheduler, ("sd",))


def put(pipeline: DiffusionPipeline, scheduler: str, settings: dict[str, Any]) -> DiffusionPipeline:
    """Give a pipeline another scheduler, as users do."""
    config = {**pipeline.scheduler.config, **settings}
    pipeline.scheduler = getattr(diffusers, scheduler).from_config(config)
    return pipeline


def call(family: str) -> dict[str, Any]:
    """Arguments of a family's call, with more steps."""
    own_times = {"intermediate_timesteps": None} if family == "sana-sprint" else {}  # which only two steps have
    return {**CALLS[family], **own_times, "num_inference_steps": STEPS}
