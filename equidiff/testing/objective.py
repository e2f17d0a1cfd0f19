"""Checks of the contract of an objective."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.contracts import Objective
from equidiff.images.convert import is_image_shape
from equidiff.testing.failure import Check, require, run_all
from equidiff.testing.numerics import check_map, check_tensor
from equidiff.types import Samples


def check_objective(objective: Objective, samples: Samples) -> None:
    """Check that an objective keeps its contract.

    This covers names and unit, shapes and dtype, determinism, gradients against finite differences, independence of
    rows, the residual, the comparison and the discrepancy, other sizes of images, the predictor, and other
    units.

    Args:
        objective: the objective to check.
        samples: `[batch, *sample_shape]`, at least two, of the kind it will see.

    Raises:
        ContractError: the objective breaks its contract.
    """
    run_all(objective_checks(objective, samples))


def objective_checks(objective: Objective, samples: Samples) -> list[Check]:
    """The checks of an objective, by name; see `check_objective`."""
    name = type(objective).__name__

    def measured() -> Tensor:
        with torch.no_grad():
            return objective.measure(samples)

    def sizes() -> None:
        if is_image_shape(samples.shape[1:]) and objective.resizes:
            _check_sizes(objective, samples, name)

    return [
        Check("names and unit", lambda: _check_words(objective, name)),
        Check(
            "measurements, their rows and gradients",
            lambda: check_map(objective.measure, samples, (len(objective.names),), f"{name}.measure"),
        ),
        Check("residual and discrepancy", lambda: _check_residual(objective, measured(), name)),
        Check("comparison with a target", lambda: _check_compare(objective, samples, measured(), name)),
        Check("images of other sizes", sizes),
        Check("classes", lambda: _check_predictor(objective, samples, name)),
        Check("other units", lambda: _check_others(objective, samples, name)),
    ]


def _check_words(objective: Objective, name: str) -> None:
    require(isinstance(objective, Objective), f"{name} is not an Objective", "a subclass of equidiff.Objective")
    names = getattr(objective, "names", None)
    good = isinstance(names, tuple) and len(names) > 0 and all(isinstance(each, str) and each for each in names)
    require(good, f"{name}.names is {names!r}", "a tuple with a name for each output")
    assert names is not None
    require(len(set(names)) == len(names), f"{name}.names has the same name twice", "a name of its own for each output")
    unit = getattr(objective, "unit", None)
    require(isinstance(unit, str) and bool(unit), f"{name}.unit is {unit!r}", 'a word, such as "activation"')


def _check_residual(objective: Objective, measurements: Tensor, name: str) -> None:
    rows, target = len(measurements), measurements[0]
    residual = objective.residual(measurements, target)
    require(
        isinstance(residual, Tensor) and residual.ndim == 2 and len(residual) == rows,
        f"{name}.residual gives {getattr(residual, 'shape', residual)!r} for {rows} measurements",
        "shape (batch, r)",
    )
    check_tensor(residual, (rows, residual.shape[1]), f"{name}.residual")
    zero = bool((residual[0].abs() <= 1e-5 * (1 + target.abs().max())).all())
    require(zero, f"{name}.residual is not zero at its own target", "a residual of 0 where both arguments agree")
    discrepancy = objective.discrepancy(measurements, target)
    check_tensor(discrepancy, (rows,), f"{name}.discrepancy")
    same = torch.allclose(discrepancy, residual.square().sum(dim=1), rtol=1e-3, atol=1e-6)
    asked = "the sum of the squared residual; override `residual` to change it"
    require(same, f"{name}.discrepancy and {name}.residual disagree", asked)


def _check_compare(objective: Objective, samples: Samples, measurements: Tensor, name: str) -> None:
    for target in measurements:
        with torch.no_grad():
            compared, full = objective.compare(samples, target)
        measured = objective.residual(measurements, target)
        check_tensor(compared, tuple(measurements.shape), f"{name}.compare's measurements")
        two = isinstance(full, Tensor) and full.ndim == 2
        require(two, f"{name}.compare's residual is {getattr(full, 'shape', full)!r}", "shape (batch, r)")
        check_tensor(full, (len(samples), full.shape[1]), f"{name}.compare's residual")
        scale = 1e-5 * (1 + measurements.abs().max())
        same = bool(((compared - measurements).abs() <= scale).all())
        require(same, f"{name}.compare and {name}.measure disagree", "the same measurements from both")
        shorter = measured.norm(dim=1) - full.norm(dim=1) > scale
        asked = "a residual at least as long: a sample that `contains` rejects must not be a member"
        require(not bool(shorter.any()), f"{name}.compare gives a residual shorter than {name}.residual", asked)


def _check_sizes(objective: Objective, samples: Samples, name: str) -> None:
    larger = torch.nn.functional.interpolate(samples, scale_factor=2.0)
    with torch.no_grad():
        measurements = objective.measure(larger)
    shape = (len(samples), len(objective.names))
    check_tensor(measurements, shape, f"{name}.measure, of images twice as large, as `resizes` promises,")


def _check_predictor(objective: Objective, samples: Samples, name: str) -> None:
    predictor = objective.predictor()
    if predictor is None:
        return
    with torch.no_grad():
        probabilities = predictor.probabilities(samples)
    check_tensor(probabilities, (len(samples), len(predictor.names)), f"{name}.predictor().probabilities")
    sums = probabilities.sum(dim=1)
    good = bool((probabilities >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3)
    require(good, f"{name}.predictor() does not give probabilities", "rows of numbers at least 0, of sum 1")


def _check_others(objective: Objective, samples: Samples, name: str) -> None:
    with torch.no_grad():
        others = objective.others(samples)
    if others is not None:
        names, values = others
        check_tensor(values, (len(samples), len(names)), f"{name}.others")
        measured = set(names) & set(objective.names)
        require(not measured, f"{name}.others names {measured}", "other units than the one that is measured")
