"""Prompts that a pipeline has encoded: recorded once for one row and for two, repeated later for any number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from equidiff.errors import UnsupportedError

Make = Callable[[int], Any]


@final
class Recorder:
    """Calls a function, and keeps what it returns.

    Args:
        function: such as a pipeline's `encode_prompt`.

    Attributes:
        results: one for each call.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.results: list[Any] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        self.results.append(self._function(*args, **kwargs))
        return self.results[-1]


@dataclass
class Replay:
    """Stands for the function of a recorder, and returns its results in their order.

    Args:
        makes: results as functions of the number of rows.
        rows: of this run.
    """

    makes: Sequence[Make]
    rows: int
    _next: int = field(default=0, init=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The next result."""
        make = self.makes[self._next % len(self.makes)]
        self._next += 1
        return make(self.rows)


def for_any_rows(one: Any, two: Any) -> Make:
    """A function from the number of rows to a result, from the results for one row and for two.

    Raises:
        UnsupportedError: the results do not depend on the number of rows in a way that is understood.
    """
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return _tensors(one, two)
    if isinstance(one, Mapping) and isinstance(two, Mapping) and one.keys() == two.keys():
        makes = {key: for_any_rows(one[key], two[key]) for key in one}
        return lambda rows: type(one)(**{key: make(rows) for key, make in makes.items()})
    if isinstance(one, list) and isinstance(two, list) and len(two) == 2 * len(one):  # an entry for each row
        entries = [for_any_rows(each, each) for each in one]
        return lambda rows: [make(rows) for make in entries for _ in range(rows)]
    if isinstance(one, (list, tuple)) and len(one) == len(two):
        kind = type(one)
        parts = [for_any_rows(*pair) for pair in zip(one, two, strict=True)]
        return lambda rows: kind(make(rows) for make in parts)
    if isinstance(one, (list, tuple, Mapping, Tensor)):
        raise _not_understood(one, two)
    return lambda _rows: one


def _tensors(one: Tensor, two: Tensor) -> Make:
    one, two = (each.float() if each.is_floating_point() else each for each in (one.detach(), two.detach()))
    if one.shape == two.shape:
        return lambda _rows: one
    axes = [axis for axis, (a, b) in enumerate(zip(one.shape, two.shape, strict=True)) if a != b]
    if len(axes) == 1 and two.shape[axes[0]] == 2 * one.shape[axes[0]]:
        return lambda rows: one.repeat_interleave(rows, dim=axes[0])
    if one.ndim == 1 and len(one) == 2 and torch.equal(two, torch.arange(3, device=two.device) * one[1]):
        # the bounds of texts that lie one after the other
        return lambda rows: (torch.arange(rows + 1, device=one.device) * one[1]).to(one.dtype)
    raise _not_understood(one, two)


def _not_understood(one: Any, two: Any) -> UnsupportedError:
    shapes = [str(tuple(each.shape)) if isinstance(each, Tensor) else type(each).__name__ for each in (one, two)]
    return UnsupportedError(
        "The encoded prompt of this pipeline cannot be repeated for several samples.", given=" and ".join(shapes)
    )
