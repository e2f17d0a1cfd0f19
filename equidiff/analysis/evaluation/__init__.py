"""Evaluating a finished run: what `equidiff evaluate` does, without its words."""

from equidiff.analysis.evaluation.material import Plan
from equidiff.analysis.evaluation.measure import evaluate
from equidiff.analysis.evaluation.results import Metric, Results

__all__ = ["Metric", "Plan", "Results", "evaluate"]
