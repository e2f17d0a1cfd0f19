"""Descriptors and options of the laws that ship with EquiDiff."""

from __future__ import annotations

from pydantic import Field

from equidiff.builtin.references import GRAHAM, LELIEVRE, ZAPPA
from equidiff.plugin import Descriptor, Options


class ConditionalOptions(Options):
    """Options of `conditional`."""

    moves: int = Field(48, ge=1, le=100_000, description="transitions along the set that each sample makes")
    angle: float = Field(
        0.2, gt=0, le=1.57, description="step size of the first transition, as an angle in radians; then it adapts"
    )
    persistence: float = Field(0.9, ge=0, lt=1, description="share of its momentum that each transition keeps")


LAWS = [
    Descriptor(
        "solve",
        "equidiff.builtin.laws.solve:build",
        "Members as the solver finds them: their frequencies reflect its search, not the prior.",
        examples=("solve",),
    ),
    Descriptor(
        "conditional",
        "equidiff.builtin.laws.conditional:build",
        "The prior, conditioned on a zero residual: each member moves along the set by constrained Hamiltonian "
        "dynamics with a Metropolis step. For up to about ten residuals.",
        options=ConditionalOptions,
        references=(GRAHAM, ZAPPA, LELIEVRE),
        examples=("conditional", "conditional,moves=200"),
        synonyms={
            **dict.fromkeys(("steps", "transitions", "iterations", "n"), "moves"),
            **dict.fromkeys(("step", "step_size", "stepsize", "epsilon"), "angle"),
            **dict.fromkeys(("momentum", "friction"), "persistence"),
        },
    ),
]
