"""Evaluating a finished run: what `equidiff evaluate` does, without its printing."""

from equidiff.analysis.evaluation.measure import evaluate
from equidiff.analysis.evaluation.results import Metric, Results
from equidiff.analysis.evaluation.sample_sets import Plan

__all__ = ["Metric", "Plan", "Results", "evaluate"]
