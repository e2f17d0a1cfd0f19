"""A trial of a map that works row by row: its form, its gradient, and that rows are on their own and never random."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from equidiff.registry.trial.source import suspect
from equidiff.registry.trial.subject import Subject

Map = Callable[[Tensor], Tensor]  # calls the component, and checks the form of what comes back


def try_rows(subject: Subject, method: str, apply: Map, inputs: Tensor, *, graph: bool = True) -> Tensor:
    """Call a map once for two rows and once for the first alone.

    Args:
        subject: the component.
        method: of it, for messages.
        apply: the map.
        inputs: two rows.
        graph: the result must have a gradient.

    Returns:
        The result for both rows, without its graph.

    Raises:
        ContractBreachError: the rows are not on their own, the result is random, or it has no gradient.
    """
    called = subject.called(method, inputs)
    with torch.no_grad():
        given = inputs.clone()
        alone = apply(given[:1])
    if not torch.equal(given, inputs):
        line = "leave out what ends in an underscore (x.mul_(), x.clamp_()) and x[...] = ..."
        raise subject.wrong(called, "its input, changed in place", "an input that is left as it is", line)
    with torch.enable_grad():
        leaf = inputs.detach().clone().requires_grad_()
        together = apply(leaf)
        if together.requires_grad:
            _check_gradient(subject, called, together, leaf)
        elif graph:
            raise _without_gradient(subject, method, called)
    if not subject.agree(together[:1].detach(), alone):
        raise _disagreement(subject, called, apply, inputs, alone)
    return together.detach()


def _check_gradient(subject: Subject, called: str, result: Tensor, leaf: Tensor) -> None:
    (gradient,) = torch.autograd.grad(result[0].sum(), leaf, allow_unused=True)
    if gradient is None:
        line = "compute the result from the argument of the method"
        raise subject.wrong(called, "a result that does not depend on its input", "a function of its input", line)
    if not gradient.isfinite().all():
        line = "look for the root of 0, a norm at 0, or a division: .clamp(min=1e-12) before .sqrt()"
        raise subject.wrong(called, "a gradient with NaN or infinity", "a finite gradient", line)
    if gradient[1:].any():
        raise _depends_on_batch(subject, called)


def _without_gradient(subject: Subject, method: str, called: str) -> Exception:
    line = "torch operations only: leave out .item(), .detach(), .long(), numpy and torch.no_grad()"
    at = suspect(getattr(subject.component, method))
    return subject.wrong(called, "a tensor without a gradient", "a result that torch can differentiate", line, at)


def _depends_on_batch(subject: Subject, called: str) -> Exception:
    line = "no mean, norm or maximum over the first axis; .eval() for networks with batch normalization"
    returned = "another result for a row beside others than for the same row alone"
    contract = "rows that do not depend on each other"
    return subject.wrong(called, returned, contract, subject.evaluation() or line)


def _disagreement(subject: Subject, called: str, apply: Map, inputs: Tensor, alone: Tensor) -> Exception:
    """Tell a random result from one that depends on the other rows, by calling it once more."""
    with torch.no_grad():
        again = apply(inputs[:1])
    if subject.agree(again, alone):
        return _depends_on_batch(subject, called)
    line = "no torch.randn and no dropout in it; noise is a part of the latent, or fixed when the component is built"
    returned = "another result for the same input, called twice"
    return subject.wrong(called, returned, "the same result for the same input", subject.evaluation() or line)
