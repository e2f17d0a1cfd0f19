"""Descriptors and options of the solvers that ship with EquiDiff."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from equidiff.builtin.references import AUGUSTIN, BEN_HAMU, GUPTA, PANDEY, RONAI, ROUSSELOT
from equidiff.plugin import Descriptor, Options


class InfiniteOptions(Options):
    """Options of `infinite`."""

    lr: float = Field(10.0, gt=0, description="learning rate")
    optimizer: Literal["sgd", "adam", "shampoo"] = Field("sgd", description="rule that turns gradients into updates")
    weight: float = Field(1.0, gt=0, description="lambda in Algorithm 1, a factor on the loss")


class LbfgsOptions(Options):
    """Options of `lbfgs`."""

    history: int = Field(20, ge=1, le=1000, description="updates that the curvature is estimated from")


class AutoOptions(Options):
    """Options of `auto`."""

    pool: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="prior samples to start from, the best first; 3 for up to 4 residuals, otherwise 8",
    )
    radius: float = Field(0.5, gt=0, le=2, description="longest first step, as a fraction of sqrt(latent size)")
    coarse: int | None = Field(
        None, ge=1, description="search with this many sampler steps first, then continue with all of them"
    )


class NdtmOptions(Options):
    """Options of `ndtm`; the defaults are published."""

    gamma: float = Field(5.0, gt=0, description="strength of the guidance; 1 to 10 were published")
    updates: int = Field(10, ge=1, le=1000, description="updates of the control before each sampler step")
    lr: float = Field(0.02, gt=0, description="learning rate of these at the first step; it falls linearly")
    control: float = Field(3e-4, ge=0, description="weight of the squared length of the control")
    steps: int = Field(200, ge=1, le=1000, description="sampler steps of the guided trajectory")


SOLVERS = [
    Descriptor(
        "auto",
        "equidiff.builtin.solvers.auto:build",
        "Minimum-norm Newton steps from the best of a few prior samples, kept typical of the prior.",
        options=AutoOptions,
        references=(BEN_HAMU,),
        examples=("auto", "auto,pool=16", "auto,coarse=10"),
        synonyms={
            **dict.fromkeys(("starts", "restarts", "candidates", "tries"), "pool"),
            **dict.fromkeys(("step", "step_size", "trust", "max_step"), "radius"),
            "steps": "coarse",
        },
    ),
    Descriptor(
        "infinite",
        "equidiff.builtin.solvers.infinite:build",
        "Algorithm 1 of the thesis: gradient descent on the start noise with a fixed learning rate.",
        options=InfiniteOptions,
        references=(AUGUSTIN, GUPTA),
        examples=("infinite", "infinite,lr=1", "infinite,optimizer=adam,lr=0.05"),
        synonyms={
            **dict.fromkeys(("learning_rate", "rate", "step", "step_size", "eta"), "lr"),
            **dict.fromkeys(("opt", "method"), "optimizer"),
            **dict.fromkeys(("lambda", "lam"), "weight"),
        },
    ),
    Descriptor(
        "lbfgs",
        "equidiff.builtin.solvers.lbfgs:build",
        "Quasi-Newton descent on the start noise with a line search, as D-Flow does it.",
        options=LbfgsOptions,
        references=(BEN_HAMU,),
        examples=("lbfgs", "lbfgs,history=50"),
        synonyms=dict.fromkeys(("history_size", "memory", "m"), "history"),
    ),
    Descriptor(
        "imagespace",
        "equidiff.builtin.solvers.imagespace:build",
        "Steps computed without differentiating the generator, after FlowOpt.",
        references=(RONAI,),
        examples=("imagespace",),
    ),
    Descriptor(
        "ndtm",
        "equidiff.builtin.solvers.ndtm:build",
        "Guidance of the sampler along its way, by non-linear diffusion trajectory matching; soft, for comparison.",
        options=NdtmOptions,
        references=(ROUSSELOT, PANDEY),
        examples=("ndtm", "ndtm,gamma=10", "ndtm,steps=20"),
        synonyms={
            **dict.fromkeys(("strength", "guidance", "scale"), "gamma"),
            **dict.fromkeys(("n_opt", "iterations", "n"), "updates"),
            **dict.fromkeys(("learning_rate", "u_lr", "rate"), "lr"),
            **dict.fromkeys(("kappa", "w_control"), "control"),
            **dict.fromkeys(("num_steps", "sampler_steps"), "steps"),
        },
    ),
    Descriptor(
        "rejection",
        "equidiff.builtin.solvers.rejection:build",
        "Prior samples until one is a member: the baseline that every other method has to beat.",
        examples=("rejection",),
    ),
]
