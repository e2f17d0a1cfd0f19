"""The interfaces. Subclass one, override its abstract methods, return it from a factory: that is a component.

Samples are images `[batch, channels, height, width]`, nominally in [0, 1] and not clamped, or points `[batch, 2]`.
Implementations are final: wrap another component, do not subclass it.
"""

from equidiff.contracts.attribution import Attribution, ScalarTarget
from equidiff.contracts.context import BuildContext, Finding, Weights
from equidiff.contracts.generator import Generator
from equidiff.contracts.law import Law, Moves
from equidiff.contracts.objective import Objective
from equidiff.contracts.regularizer import Regularizer
from equidiff.contracts.residual import Answer, FromMidway, Request, ResidualFunction, Step
from equidiff.contracts.solver import Solver
from equidiff.contracts.split_sampler import Midway

__all__ = [
    "Answer",
    "Attribution",
    "BuildContext",
    "Finding",
    "FromMidway",
    "Generator",
    "Law",
    "Midway",
    "Moves",
    "Objective",
    "Regularizer",
    "Request",
    "ResidualFunction",
    "ScalarTarget",
    "Solver",
    "Step",
    "Weights",
]
