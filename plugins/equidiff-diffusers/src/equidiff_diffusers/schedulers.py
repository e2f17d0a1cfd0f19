"""Schedulers of diffusers: those that a generator can use, and those that fit a pipeline."""

from __future__ import annotations

from typing import Any

import diffusers

from equidiff.errors import UnsupportedError, UsageError, unknown_name

ENDING = "Scheduler"
# classes by short names; the class's own name, with or without its ending, will do too
SHORT = {
    "cogvideox": "CogVideoXDDIMScheduler",
    "consistency": "CMStochasticIterativeScheduler",
    "ddim": "DDIMScheduler",
    "ddim-parallel": "DDIMParallelScheduler",
    "ddpm": "DDPMScheduler",
    "ddpm-parallel": "DDPMParallelScheduler",
    "deis": "DEISMultistepScheduler",
    "dpm": "DPMSolverMultistepScheduler",
    "dpm-single": "DPMSolverSinglestepScheduler",
    "edm": "EDMEulerScheduler",
    "edm-dpm": "EDMDPMSolverMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-ancestral": "EulerAncestralDiscreteScheduler",
    "flow-euler": "FlowMatchEulerDiscreteScheduler",
    "flow-heun": "FlowMatchHeunDiscreteScheduler",
    "flow-lcm": "FlowMatchLCMScheduler",
    "heun": "HeunDiscreteScheduler",
    "ipndm": "IPNDMScheduler",
    "kdpm2": "KDPM2DiscreteScheduler",
    "kdpm2-ancestral": "KDPM2AncestralDiscreteScheduler",
    "lcm": "LCMScheduler",
    "lms": "LMSDiscreteScheduler",
    "pndm": "PNDMScheduler",
    "sa": "SASolverScheduler",
    "scm": "SCMScheduler",
    "tcd": "TCDScheduler",
    "unipc": "UniPCMultistepScheduler",
    "wuerstchen": "DDPMWuerstchenScheduler",
}
FLOWS = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler")
REASONS = {
    "DPMSolverSDEScheduler": "its noise is a Brownian path that is drawn anew for each call",
    "CosineDPMSolverMultistepScheduler": "its noise is a Brownian path that is drawn anew for each call",
    "KarrasVeScheduler": "it takes two steps that are not those of a scheduler",
    "ScoreSdeVeScheduler": "it takes two steps that are not those of a scheduler",
    "CogVideoXDPMScheduler": "its steps take the estimate of the step before",
    "DDIMInverseScheduler": "it goes from an image to noise",
    "DPMSolverMultistepInverseScheduler": "it goes from an image to noise",
    "RePaintScheduler": "it fills in an image",
    "AmusedScheduler": "it samples tokens",
    "VQDiffusionScheduler": "it samples tokens",
    **dict.fromkeys(
        ("BlockRefinementScheduler", "DiscreteDDIMScheduler", "EntropyBoundScheduler"), "it samples tokens"
    ),
    **dict.fromkeys(
        (
            *("FlowMapEulerDiscreteScheduler", "HeliosDMDScheduler", "HeliosScheduler"),
            *("LTXEulerAncestralRFScheduler", "MiniMaxH3Scheduler", "PiflowScheduler"),
        ),
        "it was made for videos",
    ),
    "RFD4ProteinaScheduler": "it was made for proteins",
    "UnCLIPScheduler": "it was made for pipelines of several samplers",
}


def check_scheduler(pipeline: Any) -> None:
    """Refuse a pipeline whose scheduler is not supported.

    Raises:
        UnsupportedError: it is not.
    """
    name = type(pipeline.scheduler).__name__
    if name not in SHORT.values():
        raise UnsupportedError(
            f"The scheduler {name} cannot be used: {REASONS.get(name, 'no test covers it')}.",
            given=name,
            expected="another scheduler",
            hint="scheduler=" + ", scheduler=".join(fitting(pipeline)[:3]) if fitting(pipeline) else None,
        )


def with_scheduler(pipeline: Any, name: str) -> Any:
    """Another scheduler for a pipeline, with the configuration of its own one.

    Raises:
        UnknownNameError: there is no scheduler of this name.
        UsageError: it does not fit the pipeline.
    """
    known = {each.lower(): cls for short, cls in SHORT.items() for each in (short, cls, cls.removesuffix(ENDING))}
    if name.lower() not in known:
        raise unknown_name("scheduler", name, [*SHORT, *SHORT.values()], "scheduler=euler")
    wanted = known[name.lower()]
    fits = fitting(pipeline)
    if wanted not in [SHORT[each] for each in fits]:
        raise UsageError(
            f"The scheduler {wanted} does not fit this model, whose own is {type(pipeline.scheduler).__name__}.",
            given=f"scheduler={name}",
            expected=", ".join(fits) or "no other",
        )
    return getattr(diffusers, wanted).from_config(pipeline.scheduler.config)


def fitting(pipeline: Any) -> list[str]:
    """Short names of the schedulers that fit a pipeline: its own, and those that diffusers says are compatible."""
    own = type(pipeline.scheduler).__name__
    classes = {own, *FLOWS} if own in FLOWS else {own, *(each.__name__ for each in pipeline.scheduler.compatibles)}
    return [short for short, name in SHORT.items() if name in classes]
