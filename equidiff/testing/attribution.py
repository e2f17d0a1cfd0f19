"""Checks of the contract of an attribution method."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.contracts import Attribution, ScalarTarget
from equidiff.numerics.attributions import explain
from equidiff.testing.failure import Check, require, run_all
from equidiff.testing.numerics import check_tensor
from equidiff.types import Samples


def check_attribution(method: Attribution, scalar: ScalarTarget, samples: Samples) -> None:
    """Check that an attribution method keeps its contract.

    It must return finite float32 maps of the right shape, the same ones for the same seed, alone or in a batch, and
    leave samples and networks unchanged: no hooks, no gradients, the same value for the same sample.

    Args:
        method: the method to check.
        scalar: the measurement to explain, of images like the samples.
        samples: `[batch, channels, height, width]`, at least two.

    Raises:
        ContractError: the method breaks its contract.
    """
    run_all(attribution_checks(method, scalar, samples))


def attribution_checks(method: Attribution, scalar: ScalarTarget, samples: Samples) -> list[Check]:
    """The checks of an attribution method, by name; see `check_attribution`."""
    name = type(method).__name__
    return [
        Check("flags", lambda: _check_flags(method, name)),
        Check("maps", lambda: _check_values(method, scalar, samples, name)),
        Check("samples and network as they were", lambda: _check_traces(method, scalar, samples, name)),
        Check("seeds and rows", lambda: _check_repeats(method, scalar, samples, name)),
    ]


def _check_flags(method: Attribution, name: str) -> None:
    require(isinstance(method, Attribution), f"{name} is not an Attribution", "a subclass of equidiff.Attribution")
    for flag in ("local", "random"):
        value = getattr(method, flag)
        require(isinstance(value, bool), f"{name}.{flag} is {value!r}", "True or False")


def _check_values(method: Attribution, scalar: ScalarTarget, samples: Samples, name: str) -> None:
    rows = samples[:1] if method.random else samples
    values = method.attribute(scalar, rows)
    what = f"{name}.attribute"
    require(isinstance(values, Tensor), f"{what} gives a {type(values).__name__}", "a tensor")
    narrow = (len(rows), 1, *rows.shape[2:])
    check_tensor(values, narrow if tuple(values.shape) == narrow else tuple(rows.shape), what)
    require(not values.requires_grad, f"{what} gives a tensor with a graph", "a detached tensor")


def _check_traces(method: Attribution, scalar: ScalarTarget, samples: Samples, name: str) -> None:
    before, hooks = samples.clone(), _hooks(scalar)
    with torch.no_grad():
        values = scalar(samples)
    method.attribute(scalar, samples[:1])
    require(torch.equal(samples, before), f"{name} changes the samples", "samples that stay as they were")
    require(not samples.requires_grad, f"{name} leaves samples that require gradients", "a copy of its own")
    require(_hooks(scalar) == hooks, f"{name} leaves hooks on the network", "every hook removed")
    graded = any(parameter.grad is not None for parameter in scalar.parameters())
    require(not graded, f"{name} leaves gradients on the network", "torch.autograd.grad, or gradients set to None")
    with torch.no_grad():
        same = torch.allclose(scalar(samples), values, atol=1e-6)
    require(same, f"the network measures something else after {name}", "a network that stays as it was")


def _check_repeats(method: Attribution, scalar: ScalarTarget, samples: Samples, name: str) -> None:
    seeds = list(range(len(samples)))
    together = explain(method, scalar, samples, seeds)
    again = explain(method, scalar, samples, seeds)
    asked = "a map that depends on the sample and, where `random` is True, on torch's and numpy's seeds"
    require(torch.equal(together, again), f"{name} gives another result when it is called again", asked)
    alone = explain(method, scalar, samples[-1:], seeds[-1:])
    scale = float(together.abs().max()) + 1e-12
    same = torch.allclose(alone[0], together[-1], atol=1e-3 * scale, rtol=1e-3)
    require(
        same, f"{name} gives a sample another map alone than beside others", "rows that do not depend on each other"
    )


def _hooks(scalar: ScalarTarget) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in scalar.modules() for kind in kinds)
