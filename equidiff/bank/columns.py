"""Columns of a bank: its samples measured by an objective, or views of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from equidiff.bank.segment import BATCH, NoViews
from equidiff.bank.store import Damaged, read_file, write_file
from equidiff.contracts import Regularizer, Stored
from equidiff.search.batching import Passes, width_of
from equidiff.search.problem import Problem

ROWS = 64  # samples that are measured between two looks at the progress


class Measurer:
    """Measures samples as a run does.

    Args:
        problem: has the objective; its target does not matter.
        views_of: the regularizer whose views are measured; the samples themselves when None.
        time_limit: seconds that a pass of one sample may take; no limit when None.
    """

    def __init__(self, problem: Problem, views_of: Regularizer | None, time_limit: float | None = None) -> None:
        self._problem = replace(problem, regularizer=NoViews(), saved=False, view_targets=())
        self._views_of = views_of
        self._passes = Passes(BATCH, width_of(problem), time_limit).wide

    def measure(self, samples: Tensor) -> Tensor:
        """Measurements `[rows, parts, m]` on the CPU, NaN where the objective raises an error.

        Args:
            samples: `[rows, *sample_shape]`, as the run writes them.

        Raises:
            Exception: not even one sample fits into memory, or the objective raises it for all of them.
        """
        rows = samples.to(self._problem.target.device)
        parts = [rows] if self._views_of is None else self._views_of.views(rows)
        return torch.stack([self._measured(part) for part in parts], dim=1)

    def _measured(self, samples: Tensor) -> Tensor:
        unused = samples.new_zeros(len(samples))  # nothing but the objective is asked
        answer, failures = self._passes.compute(Stored(unused, samples, unused), self._problem)
        if answer is None:
            raise failures[0]
        return answer.measurements.float().cpu()


def read_column(path: Path) -> Tensor | None:
    """Measurements `[rows, parts, m]` on the disk; None where there are none.

    Raises:
        Damaged: they are not as they were written.
    """
    found = read_file(path)
    if found is None:
        return None
    values = found.get("measurements")
    if values is None or values.ndim != 3:
        raise Damaged(path)
    return values


def write_column(path: Path, values: Tensor, objective: str) -> None:
    """Write measurements to the disk.

    Raises:
        OSError: they cannot be written.
    """
    write_file(path, {"measurements": values}, {"objective": objective, "rows": len(values)})
