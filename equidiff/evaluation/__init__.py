"""Evaluating a finished run: what `equidiff evaluate` does, without its words."""

from equidiff.evaluation.material import Plan
from equidiff.evaluation.measure import evaluate
from equidiff.evaluation.results import Metric, Results

__all__ = ["Metric", "Plan", "Results", "evaluate"]
