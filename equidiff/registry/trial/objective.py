"""A trial of an objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from equidiff.contracts import Objective
from equidiff.registry.trial.rows import try_rows
from equidiff.registry.trial.subject import Subject

SUM_TOLERANCE = 1e-2  # of probabilities, in bfloat16


def try_objective(subject: Subject, samples: Tensor) -> None:
    """Measure one sample and two.

    Args:
        subject: the objective.
        samples: two, as the generator makes them.

    Raises:
        ContractBreachError: it breaks its contract.
    """
    names = _check_words(subject)

    def measure(rows: Tensor) -> Tensor:
        called, values = subject.called("measure", rows), subject.call("measure", rows)
        return subject.check_tensor(values, (len(rows), len(names)), called, _count(values, len(rows), names))

    values = try_rows(subject, "measure", measure, samples)
    own = type(subject.component)
    if own.compare is not Objective.compare or own.residual is not Objective.residual:
        _check_compare(subject, samples, values)
    if own.predictor is not Objective.predictor:
        _check_predictor(subject, samples)


def _check_words(subject: Subject) -> tuple[str, ...]:
    names: Any = getattr(subject.component, "names", None)
    contract = "a tuple with the name of each output"
    several = isinstance(names, Sequence) and not isinstance(names, str) and len(names) > 0
    if isinstance(names, str):
        raise subject.wrong(f"{subject.name}.names", repr(names), contract, f'names = ("{names}",)   # with the comma')
    if not several or not all(isinstance(each, str) and each for each in names):
        line = f"names = {tuple(map(str, names))!r}" if several else 'names = ("brightness",)'
        raise subject.wrong(f"{subject.name}.names", repr(names), contract, line)
    unit = getattr(subject.component, "unit", None)
    if not (isinstance(unit, str) and unit):
        raise subject.wrong(f"{subject.name}.unit", repr(unit), "a word", 'unit = "activation"   # or "logit", "value"')
    return tuple(names)


def _count(values: object, rows: int, names: tuple[str, ...]) -> str | None:
    """The line for measurements of the right form, and another number of outputs than there are names."""
    if not isinstance(values, Tensor) or values.ndim != 2 or len(values) != rows:
        return None
    outputs = values.shape[1]
    shown = ", ".join(f'"y{number}"' for number in range(min(outputs, 3)))
    name = "a name" if len(names) == 1 else f"{len(names)} names"
    return f"self.names = ({shown}{', ...' if outputs > 3 else ','})   # {outputs} outputs have {name}"


def _check_compare(subject: Subject, samples: Tensor, values: Tensor) -> None:
    called, contract = f"{subject.name}.compare(samples, target)", "measurements [batch, m], and a residual [batch, r]"
    with torch.no_grad():
        pair: Any = subject.call("compare", samples, values[0])
    if not (isinstance(pair, tuple) and len(pair) == 2):
        line = "return measurements, residual"
        raise subject.wrong(called, type(pair).__name__, contract, line)
    subject.check_tensor(pair[0], tuple(values.shape), called)
    residual = pair[1]
    if not isinstance(residual, Tensor) or residual.ndim != 2 or len(residual) != len(samples):
        line = "return residual.flatten(1)   # from residual() or compare()"
        raise subject.wrong(called, f"a residual of shape {tuple(getattr(residual, 'shape', ()))}", contract, line)
    subject.check_tensor(residual, tuple(residual.shape), called)


def _check_predictor(subject: Subject, samples: Tensor) -> None:
    predictor = subject.call("predictor")
    if predictor is None:
        return
    called = f"{subject.name}.predictor().probabilities(samples)"
    with torch.no_grad():
        found = subject.check_tensor(predictor.probabilities(samples), (len(samples), len(predictor.names)), called)
    sums = found.sum(dim=1)
    if bool((found < 0).any()) or bool(((sums - 1).abs() > SUM_TOLERANCE).any()):
        returned = f"rows with sums {', '.join(f'{each:.3g}' for each in sums.tolist())}"
        line = "return logits.softmax(dim=1)"
        raise subject.wrong(called, returned, "probabilities: at least 0, each row of sum 1", line)
