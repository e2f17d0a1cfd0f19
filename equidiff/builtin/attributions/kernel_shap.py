"""Kernel SHAP over the cells of a grid."""

from __future__ import annotations

from captum.attr import KernelShap

from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.cells import cell_regression
from equidiff.builtin.attributions.descriptors import RegressionOptions
from equidiff.contracts import BuildContext


def build(argument: str | None, options: RegressionOptions, context: BuildContext) -> Captum:
    """Build `kernel_shap`: as `lime`, with Shapley weights instead of a penalty."""
    return cell_regression(lambda scalar, row: KernelShap(scalar), options)
