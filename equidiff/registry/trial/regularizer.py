"""A trial of a regularizer."""

from __future__ import annotations

import torch
from torch import Tensor

from equidiff.contracts import Regularizer
from equidiff.registry.trial.rows import try_rows
from equidiff.registry.trial.source import suspect
from equidiff.registry.trial.subject import Subject


def try_regularizer(subject: Subject, samples: Tensor, latents: Tensor) -> None:
    """Filter one sample and two, and ask for the penalty of both.

    Args:
        subject: the regularizer.
        samples: two, as the generator makes them.
        latents: two.

    Raises:
        ContractBreachError: it breaks its contract.
    """
    own = type(subject.component)
    if own.views is not Regularizer.views:
        _try_views(subject, samples)
    if own.penalty is not Regularizer.penalty:
        _try_penalty(subject, samples, latents)


def _try_views(subject: Subject, samples: Tensor) -> None:
    def views(rows: Tensor) -> list[Tensor]:
        called, found = subject.called("views", rows), subject.call("views", rows)
        if not isinstance(found, list):
            line = "return [view]   # also of a single view"
            raise subject.wrong(called, type(found).__name__, "a list of tensors", line)
        line = f"the size of the samples, {tuple(rows.shape[1:])}: interpolate a smaller view back to it"
        return [subject.check_tensor(each, tuple(rows.shape), called, line) for each in found]

    count = len(views(samples))

    def stacked(rows: Tensor) -> Tensor:
        found = views(rows)
        if len(found) != count:
            called, returned = subject.called("views", rows), f"{len(found)} views, and {count} of another batch"
            line = "the same views whatever the number of rows"
            raise subject.wrong(called, returned, "the same number of views for every batch", line)
        return torch.stack(found, dim=1)

    if count:
        try_rows(subject, "views", stacked, samples)


def _try_penalty(subject: Subject, samples: Tensor, latents: Tensor) -> None:
    called = subject.called("penalty", samples, latents)
    with torch.enable_grad():
        leaves = [each.detach().clone().requires_grad_() for each in (samples, latents)]
        found = subject.check_tensor(subject.call("penalty", *leaves), (len(samples),), called, _per_row())
    together = found.detach()
    if bool((together < 0).any()):
        contract = "amounts of at least 0: a negative one makes members of samples that are none"
        line = "return penalty.clamp(min=0), or penalty.square()"
        raise subject.wrong(called, f"{float(together.min()):.3g}", contract, line)
    if bool(together.any()) and not found.requires_grad:
        line = "torch operations only: leave out .item(), .detach(), .long(), numpy and torch.no_grad()"
        at = suspect(subject.component.penalty)
        raise subject.wrong(called, "a tensor without a gradient", "a result that torch can differentiate", line, at)
    with torch.no_grad():
        first = subject.call("penalty", samples[:1], latents[:1])
        alone = subject.check_tensor(first, (1,), subject.called("penalty", samples[:1], latents[:1]), _per_row())
    if not subject.agree(together[:1], alone):
        line = "no mean, norm or maximum over the first axis, and no random numbers"
        returned = "another amount for a sample beside others than for the same sample alone"
        raise subject.wrong(called, returned, "amounts that do not depend on other rows, or on chance", line)


def _per_row() -> str:
    return "return values.flatten(1).sum(dim=1)   # one amount for each row"
