"""Checks of a map from tensors to tensors: form, repeatability, independence of rows, correct gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from equidiff.registry.trial.source import suspect
from equidiff.testing.failure import require

Function = Callable[[Tensor], Tensor]

# lengths of the finite differences; kinks and rounding spoil some of them
STEP_LENGTHS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
GRADIENT_TOLERANCE = 0.05
ROUNDING = 2e-6
ROW_TOLERANCE = 1e-4


def check_map(function: Function, inputs: Tensor, shape: tuple[int, ...], what: str) -> Tensor:
    """Check a map that works row by row.

    Args:
        function: the map.
        inputs: `[batch, ...]`, at least two rows.
        shape: shape of one row of the result.
        what: name of the map, for messages.

    Returns:
        The result.

    Raises:
        ContractError: the map breaks one of the rules.
    """
    result = check_values(function, inputs, shape, what)
    check_gradient(function, inputs, what)
    return result


def check_values(function: Function, inputs: Tensor, shape: tuple[int, ...], what: str) -> Tensor:
    """Check everything about a map but its gradient; see `check_map`."""
    require(len(inputs) >= 2, f"{what} was given {len(inputs)} row to check", "at least two, to see them apart")
    before = inputs.clone()
    with torch.no_grad():
        result = function(inputs)
    check_tensor(result, (len(inputs), *shape), what)
    require(torch.equal(before, inputs), f"{what} changes its input in place", "inputs that are left as they are")
    _check_repeatable(function, inputs, result, what)
    _check_rows(function, inputs, result, what)
    return result


def check_tensor(value: object, shape: tuple[int, ...], what: str) -> None:
    """Check that a value is a finite float32 tensor of this shape."""
    require(isinstance(value, Tensor), f"{what} gives a {type(value).__name__}", "a tensor")
    assert isinstance(value, Tensor)
    require(tuple(value.shape) == shape, f"{what} gives shape {tuple(value.shape)}", f"shape {shape}")
    require(value.dtype == torch.float32, f"{what} gives {value.dtype}", "float32")
    require(bool(value.isfinite().all()), f"{what} gives values that are not finite", "finite values")


def check_gradient(function: Function, inputs: Tensor, what: str) -> None:
    """Compare autograd with finite differences, in each row along the gradient and a random direction together."""
    stream = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        leaf = inputs.detach().clone().requires_grad_()
        result = function(leaf)
        asked = f"a result that torch can differentiate: no .item(), .detach(), numpy or no_grad{_instead_of(function)}"
        require(result.requires_grad, f"{what} loses the graph", asked)
        weights = torch.randn(result.shape, generator=stream).to(result)
        (gradient,) = torch.autograd.grad((weights * result).sum(), leaf, allow_unused=True)
    require(gradient is not None, f"{what} does not depend on its input", "a result that does")
    require(bool(gradient.isfinite().all()), f"{what} has a gradient that is not finite", "finite gradients")
    random = torch.randn(inputs.shape, generator=stream).to(inputs)
    direction = _unit(_unit(gradient) + _unit(random))
    slopes = _per_row(gradient * direction)

    def along(step: float) -> Tensor:
        with torch.no_grad():
            return _per_row(weights * function(inputs + step * direction))

    error = _disagreement(along, slopes)
    asked = "a gradient that agrees with finite differences: is part of the computation detached, clamped or rounded?"
    asked += _instead_of(function)
    require(bool((error <= 1).all()), f"{what} has a wrong gradient in row {int(error.argmax())}", asked)


def _instead_of(function: Function) -> str:
    """The line of a method that torch most likely cannot differentiate through, as the end of a requirement."""
    line = suspect(function)
    return "" if line is None else f"; write: torch operations alone in place of {line}"


def _disagreement(along: Callable[[float], Tensor], slopes: Tensor) -> Tensor:
    """Error of each row's slope against finite differences, as a fraction of the tolerance; the best length counts."""
    best = torch.full_like(slopes, torch.inf)
    for step in STEP_LENGTHS:
        ahead, behind = along(step), along(-step)
        measured = (ahead - behind) / (2 * step)
        rounding = ROUNDING * (ahead.abs() + behind.abs()) / step
        allowed = GRADIENT_TOLERANCE * torch.maximum(measured.abs(), slopes.abs()) + rounding + 1e-9
        best = torch.minimum(best, (measured - slopes).abs() / allowed)
    return best


def _check_repeatable(function: Function, inputs: Tensor, result: Tensor, what: str) -> None:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(20240229)
        again = function(inputs)
    asked = "the same result for the same input, whatever torch's global random state"
    require(torch.equal(result, again), f"{what} gives another result when it is called again", asked)


def _check_rows(function: Function, inputs: Tensor, result: Tensor, what: str) -> None:
    scale = float(result.abs().max()) + 1e-6
    for index in range(len(inputs)):
        with torch.no_grad():
            alone = function(inputs[index : index + 1])
        check_tensor(alone, (1, *result.shape[1:]), f"{what} of one row")
        error = float((alone - result[index : index + 1]).abs().max()) if alone.numel() else 0.0
        asked = "a result that does not depend on the batch: no statistics over rows (a BatchNorm in training mode?)"
        problem = f"{what} gives row {index} another value alone than beside others (by {error:.2g})"
        require(error <= ROW_TOLERANCE * scale, problem, asked)


def _per_row(values: Tensor) -> Tensor:
    return values.double().reshape(len(values), -1).sum(dim=1)


def _unit(values: Tensor) -> Tensor:
    length = values.flatten(1).norm(dim=1).clamp(min=1e-30)
    return values / length.reshape(-1, *[1] * (values.ndim - 1))
