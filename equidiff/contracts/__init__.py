"""The interfaces. Subclass one, override its abstract methods, return it from a factory: that is a component.

Samples are images `[batch, channels, height, width]`, nominally in [0, 1] and not clamped, or of another kind.
Implementations are final: wrap another component, do not subclass it.
"""

from equidiff.contracts.answers import (
    Answer,
    GradientAnswer,
    JacobianAnswer,
    SampleJacobianAnswer,
    SplitAnswer,
    Step,
)
from equidiff.contracts.attribution import Attribution, ScalarTarget
from equidiff.contracts.context import BuildContext, Finding, Weights
from equidiff.contracts.equation import Equation, Trajectory
from equidiff.contracts.executor import Executor
from equidiff.contracts.generator import Generator
from equidiff.contracts.law import Law, Transitions
from equidiff.contracts.objective import Objective
from equidiff.contracts.objective_factory import ObjectiveFactory
from equidiff.contracts.predictor import Predictor
from equidiff.contracts.regularizer import Regularizer
from equidiff.contracts.requests import (
    Advance,
    Candidates,
    Encode,
    Gradient,
    Jacobian,
    PassRequest,
    Prediction,
    PredictionGradient,
    Reencode,
    Request,
    SampleJacobian,
    SamplerRequest,
    Split,
    Stored,
    StoredJacobian,
    Value,
)
from equidiff.contracts.residual import ContinuousResidual, Coroutine, ResidualFunction, TailResidual
from equidiff.contracts.sample_kind import SampleKind
from equidiff.contracts.shared import Shared
from equidiff.contracts.solver import Solver
from equidiff.contracts.split_sampler import SplitSampler
from equidiff.contracts.stepwise_sampler import StepwiseSampler

__all__ = [
    "Advance", "Answer", "Attribution", "BuildContext", "Candidates", "ContinuousResidual", "Coroutine", "Encode",
    "Equation", "Executor", "Finding", "Generator", "Gradient", "GradientAnswer", "Jacobian", "JacobianAnswer",
    "Law", "Objective", "ObjectiveFactory", "PassRequest", "Prediction", "PredictionGradient", "Predictor",
    "Reencode", "Regularizer", "Request", "ResidualFunction", "SampleJacobian", "SampleJacobianAnswer",
    "SampleKind", "SamplerRequest", "ScalarTarget", "Shared", "Solver", "Split", "SplitAnswer", "SplitSampler", "Step",
    "StepwiseSampler", "Stored", "StoredJacobian", "TailResidual", "Trajectory", "Transitions", "Value", "Weights",
]  # fmt: skip
