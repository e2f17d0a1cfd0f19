"""LIME over the cells of a grid."""

from __future__ import annotations

import torch
from captum._utils.models.linear_model import SkLearnLasso
from captum.attr import Lime

from equidiff.builtin.attributions.captum import Captum
from equidiff.builtin.attributions.cells import cell_regression
from equidiff.builtin.attributions.descriptors import LimeOptions
from equidiff.contracts import BuildContext, ScalarTarget
from equidiff.types import Samples


def build(argument: str | None, options: LimeOptions, context: BuildContext) -> Captum:
    """Build `lime`."""

    def method(scalar: ScalarTarget, row: Samples) -> Lime:
        with torch.no_grad():
            covered = torch.full_like(row, options.baseline)
            difference = float((scalar(row) - scalar(covered)).abs())
        # the penalty scales with the measurement, whose unit is arbitrary; without a difference every weight is zero
        return Lime(scalar, SkLearnLasso(alpha=max(options.alpha * difference, torch.finfo(torch.float32).tiny)))

    return cell_regression(method, options)
